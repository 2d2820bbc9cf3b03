# Two commands do everything: `make demo` shows a login, `make test` passes the tests.

.PHONY: demo test test-all test-packages bench check build man packages install clean help

help:
	@echo "make demo     build, and show logins on real parts; needs no root and no server"
	@echo "make test     everything the tests need, then the tests"
	@echo "make test-all the tests that need heavy packages: Active Directory (Samba), 389 Directory Server"
	@echo "make test-packages  the deb on a Debian 12 that boots in a container; needs root"
	@echo "make bench    figures: how far guessers get beside the bound, what denials look like, a flood"
	@echo "make check    format, lints, unit tests: seconds once built"
	@echo "make build    the release binaries and the module"
	@echo "make man      the manual pages and completions, from the code"
	@echo "make packages the deb and the rpm, into target/packages"
	@echo "make install  put them on this host (DESTDIR is honoured); see README.md"

demo:
	@scripts/demo

test:
	@scripts/test

test-all:
	@scripts/test-all

test-packages:
	@scripts/test-packages

bench:
	@scripts/bench

check:
	@cargo fmt --all --check
	@cargo clippy --quiet --workspace --all-targets -- -D warnings
	@cargo test --quiet --workspace --exclude twinlock-tests

build:
	@cargo build --locked --profile module -p pam_twinlock
	@cargo build --locked --release -p twinlock-daemon -p twinlock-admin

man:
	@scripts/manual

packages:
	@scripts/packages

install: build man
	@scripts/install "$(DESTDIR)"

clean:
	@cargo clean
