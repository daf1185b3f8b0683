// SPDX-License-Identifier: MIT
/*
 * Registers and addresses of a Hailo-8 family chip behind PCIe.  Shared by the driver and the
 * software chip; it holds numbers, no logic.  Source: spec hailo8-pcie, the section is named.
 */
#ifndef HWLAYER_CHIP_REGS_H
#define HWLAYER_CHIP_REGS_H

/* 1.1 identity */
#define CHIP_PCI_VENDOR 0x1e60
#define CHIP_PCI_DEVICE 0x2864
#define CHIP_SOFT_SUBSYS_VENDOR 0x1af4 /* a software chip; no real card carries these */
#define CHIP_SOFT_SUBSYS_DEVICE 0x1100

/* 1.2 BARs */
#define CHIP_BAR_CONFIG 0
#define CHIP_BAR_VDMA 2
#define CHIP_BAR_FW 4
#define CHIP_BAR_CONFIG_SIZE 0x4000
#define CHIP_BAR_VDMA_SIZE 0x1000
#define CHIP_BAR_FW_SIZE 0x4000

/* 7.1: descriptors hold all 64 bits of an address (the low 6 are 0) */
#define CHIP_DMA_LAST 0xffffffffffffffffull

/* 2.2 BAR0 */
#define CHIP_PCI_ID 0x098 /* bits 15:0 vendor, 31:16 device; all ones: gone */
#define CHIP_IMASK_HOST 0x188
#define CHIP_ISTATUS_HOST 0x18c /* W1C */
#define CHIP_SRC_IRQ 0x400      /* W1C, bit = channel */
#define CHIP_DST_IRQ 0x500      /* W1C, bit = channel */
#define CHIP_ATR(k) (0x700 + 0x20 * (k))
#define CHIP_ATR_PARAM 0x00
#define CHIP_ATR_SRC_HI 0x04
#define CHIP_ATR_TRSL_LO 0x08
#define CHIP_ATR_TRSL_HI 0x0c
#define CHIP_ATR_TRSL_PARAM 0x10
#define CHIP_ATR_PARAM_VALUE(k) (0x17u | (unsigned int)(k) << 12) /* 2.5: enabled, 4 KiB */
#define CHIP_ATR_TRSL_PARAM_VALUE 6u
#define CHIP_WINDOW_SIZE 0x1000

/* 2.3 interrupt status */
#define CHIP_IRQ_SRC_GROUPS 0x000000ffu
#define CHIP_IRQ_DST_GROUPS 0x0000ff00u
#define CHIP_IRQ_SOFT_RESET 0x01000000u    /* bit 24, while booting */
#define CHIP_IRQ_FW_BOOTED 0x02000000u     /* bit 25, while booting */
#define CHIP_IRQ_NOTIFICATION 0x02000000u  /* bit 25, running */
#define CHIP_IRQ_CONTROL 0x04000000u       /* bit 26 */
#define CHIP_IRQ_DRIVER_DOWN 0x08000000u   /* bit 27 */
#define CHIP_IMASK_ENABLE 0xff00ffffu      /* 2.4 */

/* 2.7 chip addresses */
#define CHIP_ADDR_APP_CODE 0x00060000u
#define CHIP_ADDR_CORE_HEADER 0x000a0000u
#define CHIP_ADDR_CORE_CODE 0x000c0000u
#define CHIP_ADDR_BOOT_STATUS 0x000e0000u
#define CHIP_ADDR_APP_HEADER 0x000e0030u
#define CHIP_ADDR_KEY_CERT 0x000e0048u
#define CHIP_ADDR_CONTENT_CERT 0x000e0390u
#define CHIP_ADDR_BOOT_TRIGGER 0x000e0980u
#define CHIP_ADDR_PCIE_BLOCK 0x00200000u
#define CHIP_ADDR_MAILBOX 0x60000000u /* ATR 0 shows it: firmware is loaded */
#define CHIP_ADDR_BOARD_CFG 0x60001000u
#define CHIP_ADDR_FW_CFG 0x60001500u
#define CHIP_BOOT_STATUS_READY 1u /* 3.5 */

/* 2.8 BAR4 once the firmware runs */
#define CHIP_MBOX_REQUEST 0x0000
#define CHIP_MBOX_RESPONSE 0x0640
#define CHIP_MBOX_EVENT 0x0c80
#define CHIP_MBOX_EVENT_MAX 0x370
#define CHIP_DOORBELL 0x1684
#define CHIP_LOG_APP 0x2000
#define CHIP_LOG_CORE 0x3000

/* 4.3 doorbell */
#define CHIP_DOORBELL_APP 0x1u
#define CHIP_DOORBELL_CORE 0x2u
#define CHIP_DOORBELL_DRIVER_DOWN 0x4u
#define CHIP_DOORBELL_SOFT_RESET 0x8u

/* 3.2 firmware image */
#define CHIP_FW_MAGIC 0x1dd89de0u
#define CHIP_FW_HEADER_SIZE 24u
#define CHIP_FW_CODE_MIN 80u
#define CHIP_FW_APP_MAX 0x40000u
#define CHIP_FW_CORE_MAX 0x20000u
#define CHIP_FW_KEY_CERT_MAX 0x348u     /* 2.7: what fits between the load addresses */
#define CHIP_FW_CONTENT_CERT_MAX 0x5f0u
#define CHIP_FW_FILE_MAX 0x50000u
#define CHIP_FW_CFG_MAX 0x500u

/* 6 vDMA, BAR2 */
#define CHIP_VDMA_CHANNELS 32
#define CHIP_VDMA_FIRST_D2H 16
#define CHIP_VDMA_HOST(ch) ((ch)*0x20u + ((ch) >= CHIP_VDMA_FIRST_D2H ? 0x10u : 0x00u))
#define CHIP_VDMA_DEVICE(ch) ((ch)*0x20u + ((ch) >= CHIP_VDMA_FIRST_D2H ? 0x00u : 0x10u))
#define CHIP_VDMA_CTRL 0x0
#define CHIP_VDMA_CTRL_START 0x00000001u
#define CHIP_VDMA_CTRL_PAUSE 0x00000002u
#define CHIP_VDMA_CTRL_STATE 0x00000003u
#define CHIP_VDMA_CTRL_DATA_ID 0x00000700u
#define CHIP_VDMA_CTRL_DEPTH 0x00007800u /* log2(descriptors), 0 means 16 */
#define CHIP_VDMA_CTRL_AVAIL 0xffff0000u
#define CHIP_VDMA_PROC 0x4
#define CHIP_VDMA_PROC_PROCESSED 0x0000ffffu
#define CHIP_VDMA_PROC_ONGOING 0xffff0000u
#define CHIP_VDMA_ERR 0x8
#define CHIP_VDMA_ERR_CODE 0x000000ffu
#define CHIP_VDMA_ERR_ADDR_LO 0xffff0000u /* list address bits 31:16 */
#define CHIP_VDMA_ADDR_HI 0xc

/* 7 descriptors */
#define CHIP_DESC_SIZE 16u
#define CHIP_DESC_CTRL 0x000000ffu
#define CHIP_DESC_BYTES 0xffffff00u
#define CHIP_DESC_STATUS_REQ 0x01u
#define CHIP_DESC_BASE 0x02u /* every programmed descriptor */
#define CHIP_DESC_IRQ_PROCESSED 0x04u
#define CHIP_DESC_IRQ_ERROR 0x08u
#define CHIP_DESC_IRQ_DEVICE 0x10u
#define CHIP_DESC_IRQ_HOST 0x20u
#define CHIP_DESC_LAST_HOST 0x2eu   /* last descriptor of a host transfer */
#define CHIP_DESC_LAST_DEVICE 0x1eu /* last of a config piece or an inter-context batch */
#define CHIP_DESC_STATUS_DONE 0x1u
#define CHIP_DESC_STATUS_ERROR 0x2u
#define CHIP_LIST_ALIGN 0x10000u
#define CHIP_LIST_MAX 65536u
#define CHIP_PAGE_MIN 64u
#define CHIP_PAGE_MAX 4096u

#endif
