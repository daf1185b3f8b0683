# SPDX-License-Identifier: MIT
#
#   make            library, hwctl, hailo-inferenced, default model
#   make check      all tests; last line "N passed, N failed, N skipped"
#   make vm-check   real kernels in virtual machines, the x86-64 case; vm-check-all: every case
#   make bench      figures of speed (no assertions)
#   make fuzz       the fuzzers (clang's libFuzzer); make fuzz-check: FUZZ_SECONDS of each
#   make run        the daemon on the software chip with the default model
#   make install    DESTDIR=, PREFIX=, LIBDIR=
#   make kmod       the kernel module hailo_uio; KDIR= of another kernel than the one that runs
#   make kmod-install-dkms  its sources for DKMS, to DESTDIR/usr/src
#   make kmod-check the module against Debian's kernels, sparse, checkpatch
#
#   make cross-arm64  everything for arm64, in O/arm64
#   make check-arm64  its unit and mock tests under qemu, and that both architectures compute the same bits
#
# Knobs: O=dir (out), V=1 (show commands), SAN=1 (ASan+UBSan), SAN=thread (TSan), CC=, DEBUG=1, SHARED=dir

O ?= out
V ?= 0
SAN ?= 0
DEBUG ?= 0
PREFIX ?= /usr
LIBDIR ?= $(PREFIX)/lib
SHARED ?= $(abspath ../shared)
VERSION := 0.1.0

Q := $(if $(filter 1,$(V)),,@)
comma := ,
say = $(if $(filter 1,$(V)),@:,@printf '  %-7s %s\n' '$(1)' '$(2)')

PKGS_LIB := libcjson libprotobuf-c libxxhash zlib libcrypto libpci
PKGS_DAEMON := libmicrohttpd
PKGS_TEST := cmocka
ifneq ($(filter-out clean kmod kmod-check kmod-install-dkms cross-arm64,$(or $(MAKECMDGOALS),all)),)
missing := $(shell for p in $(PKGS_LIB) $(PKGS_DAEMON); do pkg-config --exists $$p 2>/dev/null || echo $$p; done)
ifneq ($(strip $(missing)),)
$(error missing libraries: $(missing). deploy/install-deps.sh installs what is needed (Debian packages))
endif
endif

CFLAGS ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -DHW_VERSION='"$(VERSION)"' -Iinclude -Ihwlayer -I$(O)/gen
CPPFLAGS += $(shell pkg-config --cflags $(PKGS_LIB) $(PKGS_DAEMON))
# -ffp-contract=off: the same bits on amd64 and arm64
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wvla -Wwrite-strings
# Texts for people are cut where their buffer ends, on purpose.
WARN += $(if $(findstring clang,$(CC)),,-Wno-format-truncation)
ALL_CFLAGS = -std=gnu11 $(WARN) -ffp-contract=off -fno-math-errno -pthread $(CFLAGS) $(SAN_FLAGS)
ifeq ($(SAN),1)
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),fuzz)
SAN_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),thread)
SAN_FLAGS := -fsanitize=thread -fno-omit-frame-pointer
endif
ifeq ($(DEBUG),1)
CFLAGS := -O0 -g3
endif
LIBS = $(shell pkg-config --libs $(PKGS_LIB)) -lopenblas -lm -pthread

# ------------------------------------------------------------------ library
LIB_DIRS := util pci backend chip vdma hef host network trace infer mock onnx build manifest
LIB_SRCS := $(foreach d,$(LIB_DIRS),$(wildcard hwlayer/$(d)/*.c))
GEN_SRCS := $(O)/gen/hef.pb-c.c $(O)/gen/onnx.pb-c.c
LIB_OBJS := $(LIB_SRCS:%.c=$(O)/%.o) $(GEN_SRCS:.c=.o)
HWCTL_OBJS := $(patsubst %.c,$(O)/%.o,$(wildcard hwlayer/hwctl/*.c))
DAEMON_SRCS := $(wildcard daemon/*.c daemon/api/*.c)
DAEMON_OBJS := $(DAEMON_SRCS:%.c=$(O)/%.o)

LIB := $(O)/libhwlayer.a
PROGS := $(if $(HWCTL_OBJS),$(O)/hwctl) $(if $(DAEMON_OBJS),$(O)/hailo-inferenced)
MODELS := $(if $(HWCTL_OBJS),$(patsubst deploy/models/%.onnx,$(O)/models/%.hef,$(wildcard deploy/models/*.onnx)))

all: $(LIB) $(PROGS) $(MODELS) $(O)/hwlayer.pc

$(LIB): $(LIB_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/hwctl: $(HWCTL_OBJS) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(HWCTL_OBJS) $(LIB) $(LIBS)

$(O)/hailo-inferenced: $(DAEMON_OBJS) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(DAEMON_OBJS) $(LIB) $(LIBS) $(shell pkg-config --libs $(PKGS_DAEMON))

# Inner loops that are worth -O3 (and vectorising) whatever the rest is built with.
$(O)/hwlayer/mock/core_kernels.o $(O)/hwlayer/onnx/kernels.o $(O)/hwlayer/host/%.o: CFLAGS += -O3

$(O)/%.o: %.c | $(GEN_SRCS)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Generated code is not ours to warn about.
$(O)/gen/%.o: $(O)/gen/%.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 $(CFLAGS) $(SAN_FLAGS) -MMD -MP -c -o $@ $<

$(O)/gen/hef.pb-c.c: hwlayer/hef/hef.proto
	$(call say,PROTO,$<)
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=$(dir $<) --c_out=$(O)/gen $<

# The schema is Debian's (libonnx-dev); protoc-c wants it under its own name.
ONNX_PROTO ?= /usr/include/onnx/onnx.proto
$(O)/gen/onnx.pb-c.c: $(ONNX_PROTO)
	$(call say,PROTO,$<)
	@mkdir -p $(@D)
	$(Q)cp $< $(O)/gen/onnx.proto && protoc-c --proto_path=$(O)/gen --c_out=$(O)/gen $(O)/gen/onnx.proto

# ------------------------------------------------------------ default model
$(O)/models/%.hef: deploy/models/%.onnx deploy/models/%.json $(wildcard deploy/models/*.calib.json) $(O)/hwctl
	$(call say,HEF,$@)
	@mkdir -p $(@D)
	$(Q)$(RUN) $(O)/hwctl hef build $< -o $@ --manifest deploy/models/$*.json \
		--calibrate deploy/models/$*.calib.json >/dev/null

# -------------------------------------------------------------------- tests
TEST_SRCS := $(wildcard tests/unit/test_*.c tests/mock/test_*.c tests/golden/test_*.c tests/daemon/test_*.c)
TEST_BINS := $(TEST_SRCS:%.c=$(O)/%)
TEST_SUPPORT := $(patsubst %.c,$(O)/%.o,$(wildcard tests/support/*.c))
TEST_SCRIPTS := $(wildcard tests/*/test_*.sh tests/*/test_*.py)
TEST_ENV = TOP='$(CURDIR)' OUT='$(abspath $(O))' HAILO_SHARED='$(SHARED)' SAN='$(SAN)' CC='$(CC)'

$(O)/tests/%: tests/%.c $(TEST_SUPPORT) $(LIB)
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -Wno-missing-prototypes $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< \
		$(TEST_SUPPORT) $(LIB) $(shell pkg-config --libs $(PKGS_TEST)) $(LIBS)

$(TEST_SUPPORT): CPPFLAGS += -Itests

tests-build: $(TEST_BINS)

check: $(or $(GOALS),all tests-build)
	$(Q)$(TEST_ENV) tests/run.sh $(TEST_BINS) $(TEST_SCRIPTS)

# Real kernels, with the chip as a PCIe device of QEMU (docs/vm-testing.md); VM="CASE/CHECK ..." chooses.
VM ?= x86-vtd
vm-programs: all $(O)/tests/vm/guest/stray
vm-arm64:
	$(Q)$(MAKE) --no-print-directory cross-arm64 GOALS=vm-programs
# Without a VM all cases.
vm-check: vm-programs $(if $(VM),$(if $(filter arm64-%,$(VM)),vm-arm64),vm-arm64)
	$(Q)$(TEST_ENV) /usr/bin/python3 tests/vm/run.py $(VM)

vm-check-all:
	$(Q)$(MAKE) --no-print-directory vm-check VM=

# ------------------------------------------------------------------ fuzzers
# Everything they are made of is built again, with clang and SAN=fuzz, in $(O)/fuzz.
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 30
FUZZ_ENV = OUT='$(abspath $(O)/fuzz)' FUZZERS='$(FUZZERS)'

fuzz:
	$(Q)$(MAKE) O=$(O)/fuzz CC=clang SAN=fuzz fuzz-bins

fuzz-check: fuzz
	$(Q)$(FUZZ_ENV) tests/fuzz/run.sh check $(FUZZ_SECONDS)

.PHONY: fuzz fuzz-check fuzz-bins fuzz-seeds
fuzz-bins: $(FUZZERS:%=$(O)/fuzz_%)

FUZZ_SUPPORT := $(patsubst %,$(O)/tests/support/%.o,hefgen fakechip support) $(O)/tests/fuzz/pbmutate.o \
	$(O)/hwlayer/hwctl/hef_json.o
$(O)/tests/fuzz/%.o: CPPFLAGS += -Itests
# What is not tested needs no coverage.
$(O)/tests/%: SAN_FLAGS := $(subst fuzzer-no-link$(comma),,$(SAN_FLAGS))

$(O)/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(FUZZ_SUPPORT) $(LIB)
	$(call say,FUZZ,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< $(FUZZ_SUPPORT) $(LIB) \
		$(shell pkg-config --libs $(PKGS_TEST)) $(LIBS)

# What the unit tests give to the readers, as first seeds in $(O)/fuzz/seeds.
# Not of the models that Debian ships (test_onnx_node): these are not ours.
SEED_TESTS := $(filter-out %/test_onnx_node.c,$(wildcard $(patsubst %,tests/unit/test_%*.c,hef_ network_ onnx_ \
	chip_ event_)))
SEED_BINS := $(SEED_TESTS:tests/unit/%.c=$(O)/seed/%)
SEED_WRAP := $(patsubst %,-Wl$(comma)--wrap=%,hef_parse onnx_parse chip_reply_decode chip_event_decode)

$(O)/seed/%: tests/unit/%.c $(O)/tests/fuzz/collect.o $(TEST_SUPPORT) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -Wno-missing-prototypes $(LDFLAGS) $(SEED_WRAP) -o $@ $< \
		$(O)/tests/fuzz/collect.o $(TEST_SUPPORT) $(LIB) $(shell pkg-config --libs $(PKGS_TEST)) $(LIBS)

fuzz-seeds: $(SEED_BINS) $(O)/tests/fuzz/seeds
	$(Q)mkdir -p $(FUZZERS:%=$(O)/fuzz/seeds/%)
	$(Q)$(O)/tests/fuzz/seeds $(O)/fuzz/seeds/onnx
	$(Q)for t in $(SEED_BINS); do CI=false FUZZ_SEEDS=$(abspath $(O)/fuzz/seeds) TOP='$(CURDIR)' \
		OUT='$(abspath $(O))' HAILO_SHARED=/nonexistent $$t >/dev/null 2>&1 || echo "$$t: failed"; done

BENCH_BINS := $(patsubst %.c,$(O)/%,$(wildcard tests/bench/bench_*.c))
bench: all $(BENCH_BINS)
	$(Q)for b in $(BENCH_BINS); do $(TEST_ENV) $$b || exit 1; done

run: all
	$(Q)HEF_PATH=$(O)/models/imu-motion.hef HAILO_DEVICE_ID=mock $(O)/hailo-inferenced

# What is installed: one object in which only the public names can be seen, so that no name of ours
# meets one of a program's own.
OBJCOPY ?= objcopy
$(O)/public/libhwlayer.a: $(LIB)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -r -nostdlib -o $(@D)/hwlayer.o -Wl,--whole-archive $< -Wl,--no-whole-archive
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='hw_*' $(@D)/hwlayer.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(@D)/hwlayer.o

# Always made anew: what is in it depends on PREFIX and LIBDIR of this very call.
$(O)/hwlayer.pc: deploy/hwlayer.pc.in FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
		-e 's|@VERSION@|$(VERSION)|' -e 's|@REQUIRES@|$(PKGS_LIB)|' $< >$@

MAN1 := $(wildcard docs/man/*.1)
MAN8 := $(wildcard docs/man/*.8)
COMPLETIONS := $(wildcard deploy/completion/*)
SHARE := $(DESTDIR)$(PREFIX)/share
# These name programs of ours by their path.
AT_PREFIX := sed -e 's|/usr/bin/hwctl|$(PREFIX)/bin/hwctl|' -e 's|/usr/sbin/hailo-inferenced|$(PREFIX)/sbin/hailo-inferenced|' \
	-e 's|/usr/lib/hailo-inference/|$(PREFIX)/lib/hailo-inference/|'

install: all $(O)/public/libhwlayer.a
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin $(O)/hwctl
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/sbin $(O)/hailo-inferenced
	install -D -m 0644 -t $(DESTDIR)$(LIBDIR) $(O)/public/libhwlayer.a
	install -D -m 0644 -t $(DESTDIR)$(LIBDIR)/pkgconfig $(O)/hwlayer.pc
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/include/hwlayer include/hwlayer/*.h
	install -D -m 0644 -t $(SHARE)/hailo-inference/models $(O)/models/*.hef $(O)/models/*.json
	$(if $(MAN1),install -D -m 0644 -t $(SHARE)/man/man1 $(MAN1))
	$(if $(MAN8),install -D -m 0644 -t $(SHARE)/man/man8 $(MAN8))
	$(if $(COMPLETIONS),install -D -m 0644 -t $(SHARE)/bash-completion/completions $(COMPLETIONS))
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/lib/hailo-inference udev/vfio-group
	install -d $(DESTDIR)$(PREFIX)/lib/udev/rules.d $(DESTDIR)$(PREFIX)/lib/systemd/system
	$(AT_PREFIX) udev/70-hailo-inference.rules >$(DESTDIR)$(PREFIX)/lib/udev/rules.d/70-hailo-inference.rules
	$(AT_PREFIX) deploy/hailo-inferenced.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/hailo-inferenced.service
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/sysusers.d deploy/sysusers.d/hailo-inference.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/modprobe.d deploy/modprobe.d/hailo-inference.conf
	install -D -m 0644 -t $(DESTDIR)/etc/security/limits.d deploy/limits.d/hailo-inference.conf

# -------------------------------------------------------------------- arm64
# Debian's cross compiler and its arm64 libraries, unpacked in a folder (tests/support/sysroot.sh).
ARM64_ROOT = $(shell tests/support/sysroot.sh)
ARM64_PC = $(ARM64_ROOT)/usr/lib/aarch64-linux-gnu/pkgconfig:$(ARM64_ROOT)/usr/share/pkgconfig
cross-arm64:
	$(eval ARM64_ROOT := $(ARM64_ROOT))
	$(Q)test -n '$(ARM64_ROOT)'
	$(Q)PKG_CONFIG_LIBDIR=$(ARM64_PC) PKG_CONFIG_SYSROOT_DIR=$(ARM64_ROOT) $(MAKE) O=$(O)/arm64 \
		CC='aarch64-linux-gnu-gcc --sysroot=$(ARM64_ROOT)' AR=aarch64-linux-gnu-ar \
		RUN='qemu-aarch64-static -L $(ARM64_ROOT)' $(or $(GOALS),all tests-build $(O)/arm64/tests/arch/digest)

check-arm64: cross-arm64 all $(O)/tests/arch/digest
	$(Q)$(TEST_ENV) tests/arch/check.sh

# The kernel's makefiles read Kbuild here.  They build beside the sources, so they get a copy.
KDIR ?= /lib/modules/$(shell uname -r)/build
KMOD_O ?= $(O)/kmod/module
KMOD_SRCS := Kbuild $(wildcard hwlayer/kmod/*.[ch])
KMOD_ARCH = $(shell sed -n 's/^CONFIG_ARM64=y/arm64/p;s/^CONFIG_X86_64=y/x86_64/p' $(KDIR)/.config)
KMOD_HOST := $(patsubst aarch64,arm64,$(shell uname -m))
# Our O= and V= are not the kernel's.  BTF of a module wants the vmlinux that it is for, and pahole.
KMOD_MAKE = env -u MAKEFLAGS -u O -u V make -C $(KDIR) M=$(abspath $(KMOD_O)) ARCH=$(KMOD_ARCH) CONFIG_DEBUG_INFO_BTF_MODULES= \
	$(if $(filter-out $(KMOD_HOST),$(KMOD_ARCH)),CROSS_COMPILE=$(if $(filter \
	arm64,$(KMOD_ARCH)),aarch64,x86_64)-linux-gnu-)
kmod:
	$(Q)test -e $(KDIR)/.config || { echo "no kernel headers at $(KDIR): apt-get install" \
		"linux-headers-$(shell uname -r), or give KDIR=" >&2; exit 1; }
	$(Q)for f in $(KMOD_SRCS); do cmp -s $$f $(KMOD_O)/$$f || install -D -m 0644 $$f $(KMOD_O)/$$f; done
	$(Q)$(KMOD_MAKE) $(if $(Q),-s) $(KMOD_FLAGS) modules

# /usr/src is where DKMS looks, whatever PREFIX is.
DKMS_SRC = $(DESTDIR)/usr/src/hailo-uio-$(VERSION)
kmod-install-dkms:
	$(Q)for f in $(KMOD_SRCS); do install -D -m 0644 $$f $(DKMS_SRC)/$$f || exit 1; done
	$(Q)sed -e 's|@VERSION@|$(VERSION)|' deploy/dkms/dkms.conf.in >$(DKMS_SRC)/dkms.conf

kmod-check:
	$(Q)tests/kmod/build.sh O=$(O)
.PHONY: cross-arm64 check-arm64 kmod kmod-check kmod-install-dkms

clean:
	rm -rf $(O)

.PHONY: all tests-build check vm-programs vm-arm64 vm-check vm-check-all bench run install clean FORCE
.SECONDARY:
.DELETE_ON_ERROR:

-include $(wildcard $(O)/tests/fuzz/*.d) $(LIB_OBJS:.o=.d) $(HWCTL_OBJS:.o=.d) $(DAEMON_OBJS:.o=.d) $(TEST_SUPPORT:.o=.d) $(TEST_BINS:=.d)
