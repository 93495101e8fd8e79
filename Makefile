# What one can do here:
#
#   make ui       the page that the binary embeds; needs Node 20 and npm
#   make run      build it and serve a demo: a made-up company at work
#   make test     every test
#   make check    formatting, lints, licences, documentation, the floors of ARCHITECTURE.md;
#                 installs cargo-deny the first time
#   make bench    the benchmarks, with DuckDB beside them
#   make clean-run  forget what `make run` made
#   make soak     the long versions of the long tests; nothing may be skipped
#   make package  a Debian package in target/package; needs the page, and installs cargo-deb the
#                 first time
#   make test-package  installs, upgrades, removes and purges it in a clean Debian; needs root
#
# Everything is written below target/, run/ and, for the page, web-assets/dist.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := run
.PHONY: ui run clean-run test soak check check-advisories bench package test-package

CARGO := cargo
# One package set and one feature set everywhere, so that nothing is built twice.
ALL := --workspace --locked
EMX := target/quick/emx --data-dir run/data

# The page's sources: everything but what npm and Vite make of them.
UI := web-assets
UI_SOURCES := $(shell find $(UI) \( -name node_modules -o -name dist -o -name e2e \) -prune -o -type f -print)

ui: $(UI)/dist/index.html

$(UI)/dist/index.html: $(UI_SOURCES)
	cd $(UI) && npm ci --no-progress && npm run --silent build
	@touch $@

run: ui
	$(CARGO) build --locked --profile quick --bin emx
	@mkdir -p run
	@printf '%s\n' '' 'The data stays in run/data (`make clean-run` forgets it). In another terminal:' '' \
	    "  alias emx='$(EMX)'" \
	    "  emx query --tenant demo --from -7d --group-by command --metric count --metric success_rate" \
	    "  emx help" ''
	exec $(EMX) serve --demo

clean-run:
	rm -rf run

test: ui
	@tests/run default
	$(CARGO) test $(ALL) --doc

soak: ui
	@EMX_SOAK=1 tests/run soak --nothing-skipped

check: check-advisories ui
	cd $(UI) && npm run --silent check
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(ALL) --all-targets -- -D warnings
	$(CARGO) deny --locked check --hide-inclusion-graph bans licenses sources
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" \
	    $(CARGO) doc $(ALL) --no-deps --document-private-items
	$(CARGO) test --locked --test architecture

# Known vulnerabilities, wherever their list can be had: fetched now, or at an earlier time.
check-advisories:
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	@if $(CARGO) deny fetch db 2>/dev/null; then \
	    $(CARGO) deny --locked check advisories; \
	elif ls -d "$${CARGO_HOME:-$$HOME/.cargo}"/advisory-dbs/*/crates >/dev/null 2>&1; then \
	    $(CARGO) deny --locked check --disable-fetch advisories; \
	else \
	    echo 'skipped: the advisories, for their database cannot be reached from here'; \
	fi

bench:
	$(CARGO) bench --locked --bench store -- all
	$(CARGO) bench --locked --bench server -- all

# The version that the package was tried with: another one may lay files out otherwise.
CARGO_DEB_VERSION := 3.8.0

package:
	@[ -s web-assets/dist/index.html ] || { echo 'refused: without web-assets/dist/index.html the' \
	    'binary would have no page; `make ui` makes it' >&2; exit 1; }
	@$(CARGO) deb --version 2>/dev/null | grep -qwF '$(CARGO_DEB_VERSION)' || \
	    $(CARGO) install --locked --version '=$(CARGO_DEB_VERSION)' cargo-deb
	$(CARGO) build --locked --release --bin emx
	@mkdir -p target/package
	target/release/emx completions bash >target/package/emx.bash
	target/release/emx completions zsh >target/package/_emx
	target/release/emx completions fish >target/package/emx.fish
	@rm -f target/package/*.deb
	$(CARGO) deb --locked --no-build --output target/package/

test-package:
	packaging/test target/package/*.deb
