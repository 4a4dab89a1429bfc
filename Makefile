# What a newcomer types: `make demo`, `make test`. Everything else is for those who work on longvid.
.PHONY: setup build demo test bench lint fmt clean

CARGO ?= cargo


setup:
	@python3 scripts/setup.py

build: setup
	$(CARGO) build --release

demo: build
	./target/release/longvid demo

test: setup
	$(CARGO) test --release

bench: setup
	$(CARGO) bench --bench time --bench engine

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --all-targets -- -D warnings

fmt:
	$(CARGO) fmt --all

clean:
	$(CARGO) clean
