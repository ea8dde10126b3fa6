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

# Every test, with minutes per suite.
check:
	@scripts/deps.sh check
	@$(MAKE) --no-print-directory all
	@scripts/test-env.sh $(BUILD)
	@scripts/check.sh $(BUILD)

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

bench: all
	@scripts/bench.sh $(BUILD)

format:
	@scripts/deps.sh lint
	git ls-files '*.c' '*.h' | xargs clang-format -i

lint: all
	@scripts/deps.sh lint
	@scripts/lint.sh $(BUILD)

install: all
	$(if $(DESTDIR),DESTDIR=$(abspath $(DESTDIR))) meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) $(BUILD)-sanitize

.PHONY: all demo check check-long sanitize bench format lint install clean
