// SPDX-License-Identifier: MIT
/*
 * Changes to protobuf messages that keep them decodable.  libFuzzer's own changes move bytes and so
 * break the lengths of all messages around them: nearly every file would end in the decoder.
 */
#ifndef TESTS_FUZZ_PBMUTATE_H
#define TESTS_FUZZ_PBMUTATE_H

#include <protobuf-c/protobuf-c.h>

#include "util/bytes.h"

/* Of libFuzzer: change @len bytes in place, up to @max of them; the new length. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max);

/*
 * @msg, a message of type @desc, changed in one place, appended to @out; pieces may be taken from
 * @donor, a message of the same type (that may be @msg).  What cannot be decoded is passed on as it is.
 */
void pbmutate(const ProtobufCMessageDescriptor *desc, struct span msg, struct span donor,
	      unsigned int seed, struct buf *out);

#endif
