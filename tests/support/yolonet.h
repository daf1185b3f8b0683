// SPDX-License-Identifier: MIT
/* A network of the shape of YOLOv8n-pose, with random weights: a large one to run. */
#ifndef TESTS_SUPPORT_YOLONET_H
#define TESTS_SUPPORT_YOLONET_H

#include "onnx/onnx.h"

/*
 * Input 1 x 3 x @size x @size, a multiple of 32; nine outputs: for each of three scales 64 box
 * distributions, 1 class, 17 key points of 3.  onnx_free() it.
 */
struct onnx_graph *yolo_graph(unsigned int size);
/* Floating point operations of its convolutions. */
double yolo_flop(const struct onnx_graph *g);

#endif
