# The front door. `make demo` and `make test` install what is missing (Debian
# packages, by scripts/install-packages), build, and run; the build itself is
# CMake's.
#
#   make            build/kadmium and libkadmium, shared and static
#   make demo       many nodes on this machine, storing and finding
#   make test       every test, with address and undefined-behaviour sanitizers
#   make test-long  what the tests try in small, in large: about half an hour
#   make interop    the matrix against go-libp2p, rust-libp2p and js-libp2p
#   make bench      what it costs, beside what it must cost
#   make fuzz       the fuzz targets, each for FUZZ_SECONDS
#   make lint       formatting, static analysis, the order of the folders
#   make install    to DESTDIR and PREFIX

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 30
TESTS ?= .

CMAKE := cmake -G Ninja
CONFIGURE := $(CMAKE) -S . -DCMAKE_INSTALL_PREFIX=$(PREFIX)

.PHONY: all demo test test-long test-thread interop bench fuzz lint install clean packages

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja: | packages
	@$(CONFIGURE) -B $(BUILD) > /dev/null

packages:
	@scripts/install-packages build

demo: all
	@$(BUILD)/kadmium demo

# Debug, so that assertions are on; optimised a little, for the simulations.
test: | packages
	@scripts/install-packages test
	@$(CMAKE) -S . -B $(BUILD)/test -DCMAKE_BUILD_TYPE=Debug \
	  -DCMAKE_C_FLAGS_DEBUG="-O1 -g" -DKADMIUM_TESTS=ON -DKADMIUM_SANITIZE=address,undefined > /dev/null
	@ninja -C $(BUILD)/test --quiet
	@ctest --test-dir $(BUILD)/test --output-on-failure -j 2 -R '$(TESTS)'

# 10,000 swarms and 10,000 networks of nodes in storms; 10,000 connections, and
# 500 a second for a minute; links on which hardly anything moves.
test-long: TESTS = ^$$
test-long: test
	@KADMIUM_STORMS=10000 KADMIUM_LOAD=1 \
	  ctest --test-dir $(BUILD)/test --output-on-failure -j 2 \
	  -R 'simulation-swarm|simulation-storms|unit-load|process-rough'

# The service, whose thread is the only one, under the thread sanitizer.
test-thread: | packages
	@scripts/install-packages test
	@$(CMAKE) -S . -B $(BUILD)/test-thread -DCMAKE_BUILD_TYPE=Debug \
	  -DKADMIUM_TESTS=ON -DKADMIUM_SANITIZE=thread > /dev/null
	@ninja -C $(BUILD)/test-thread --quiet
	@ctest --test-dir $(BUILD)/test-thread --output-on-failure -R 'service'

interop: all
	@ninja -C $(BUILD) --quiet kadmium_streams
	@python3 tests/interop/run.py --kadmium $(BUILD)/kadmium

bench: | packages
	@$(CMAKE) -S . -B $(BUILD)/bench -DCMAKE_BUILD_TYPE=Release \
	  -DKADMIUM_BENCH=ON > /dev/null
	@ninja -C $(BUILD)/bench --quiet
	@scripts/bench $(BUILD)/bench

fuzz: | packages
	@scripts/install-packages fuzz
	@CC=clang $(CMAKE) -S . -B $(BUILD)/fuzz -DKADMIUM_TESTS=ON \
	  -DKADMIUM_FUZZ=ON -DKADMIUM_SANITIZE=address,undefined > /dev/null
	@ninja -C $(BUILD)/fuzz --quiet
	@scripts/fuzz $(BUILD)/fuzz $(FUZZ_SECONDS)

lint: $(BUILD)/build.ninja
	@scripts/install-packages lint
	@scripts/lint $(BUILD)

install: all
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX) > /dev/null

clean:
	@rm -rf $(BUILD)
