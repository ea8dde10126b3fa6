# SPDX-License-Identifier: MIT
# The front door. Everything behind it is meson (userspace) and Kbuild (the module).
BUILD ?= build
MESON_FLAGS ?= -Dwerror=true
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := $(shell cat VERSION)

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@scripts/deps.sh build
	meson setup $(BUILD) --prefix=$(PREFIX) $(MESON_FLAGS)

# Compiles the bundled models, loads them, and prints what they say.
demo: all
	@scripts/demo.sh $(BUILD)

# What cannot be had for the VMs makes their tests skip, and they say why.
vm_prepare = tests/vm/deps.sh && tests/vm/prepare.sh || echo "not all that the VMs need is here"

# Every test, with minutes per suite.
check:
	@scripts/deps.sh check
	@$(MAKE) --no-print-directory all
	@scripts/test-env.sh $(BUILD)
	@$(vm_prepare)
	@scripts/check.sh $(BUILD)

# What comes and goes as ONNX: the export against onnxruntime, ONNX's own tests of its operators with their score, and
# what others' exporters write, which are fetched once.
check-onnx:
	@scripts/deps.sh check
	@$(MAKE) --no-print-directory all
	@scripts/test-env.sh $(BUILD)
	@QEFF_FETCH=1 scripts/check.sh $(BUILD) onnx

# What is kept as the truth about architectures, made anew with the transformers package, which is fetched once.
check-reference:
	@tests/reference/oracle.sh tests/reference/make_architectures.py compare tests/data/models/arch
	@tests/reference/oracle.sh tests/reference/make_architectures_encoders.py tests/data/models/arch --check

# The long proofs: everything of check, and what takes too long for it.
check-long: check
	@scripts/check-long.sh $(BUILD)

# The tests again under AddressSanitizer and UndefinedBehaviorSanitizer.
sanitize:
	@scripts/deps.sh check
	@[ -f $(BUILD)-sanitize/build.ninja ] || meson setup $(BUILD)-sanitize \
		-Db_sanitize=address,undefined -Db_lundef=false
	ninja -C $(BUILD)-sanitize
	@scripts/check.sh $(BUILD)-sanitize unit integration

# The module in VMs on Debian's own kernels, with the card on an emulated PCIe bus. What it needs is fetched once.
check-vm:
	@scripts/deps.sh check
	@$(MAKE) --no-print-directory all
	@$(vm_prepare)
	@scripts/check.sh $(BUILD) vm

# The sources of the module where DKMS looks for them, and nothing else.
dkms_src = $(DESTDIR)/usr/src/qeff-$(VERSION)
dkms-install:
	install -d $(dkms_src)/driver $(dkms_src)/uapi
	install -m 644 Kbuild VERSION $(dkms_src)/
	install -m 644 $(wildcard driver/*.[ch]) $(dkms_src)/driver/
	install -m 644 $(wildcard uapi/*.h) $(dkms_src)/uapi/
	sed 's/#MODULE_VERSION#/$(VERSION)/' dkms.conf >$(dkms_src)/dkms.conf

# What has threads, under ThreadSanitizer.
tsan:
	@scripts/deps.sh check
	@scripts/check-tsan.sh $(BUILD)

bench: all
	@scripts/bench.sh $(BUILD)

# Beside llama.cpp, torch and onnxruntime, which are fetched once. PEERS: options, such as "--threads 2 --rounds 3".
bench-peers: all
	@scripts/bench-peers.sh $(BUILD) $(PEERS)

# The module beside mainline's qaic, in one VM on cards of the same kind, and their lines of code.
bench-driver:
	@scripts/deps.sh check
	@tests/vm/deps.sh
	@$(MAKE) --no-print-directory all
	@tests/vm/test.sh $(BUILD) 6.12 msi32 tests/bench/driver/bench.sh
	@tests/bench/driver/lines.sh

format:
	@scripts/deps.sh lint
	git ls-files '*.c' '*.h' | xargs clang-format -i

lint: all
	@scripts/deps.sh lint
	@scripts/lint.sh $(BUILD)

install: all
	$(if $(DESTDIR),DESTDIR=$(abspath $(DESTDIR))) meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(BUILD)-sanitize $(BUILD)-tsan

.PHONY: all demo check check-long check-onnx check-reference check-vm dkms-install sanitize tsan bench bench-driver bench-peers format lint install clean
