# What one can do here:
#
#   make ui       the page that the binary embeds; needs Node 20 and npm, nothing else does
#   make run      build it, load a sample, ask a first question
#   make test     every test
#   make check    formatting, lints, licences, documentation, the floors of ARCHITECTURE.md;
#                 installs cargo-deny the first time
#   make bench    the benchmarks, with DuckDB beside them
#   make clean-run  forget what `make run` made
#   make soak     the long versions of the long tests; nothing may be skipped
#
# Everything is written below target/, run/ and, for the page, web-assets/dist.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := run
.PHONY: ui run clean-run test soak check check-advisories bench

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

run:
	$(CARGO) build --locked --profile quick --bin emx
	@mkdir -p run
	@$(EMX) tenant list >/dev/null 2>&1 || { set -x; \
	    $(EMX) init --tenant demo --admin you@example.org </dev/null; }
	@[ -s run/sample.ndjson ] || { set -x; \
	    $(EMX) sample --rows 50000 --seed 1 >run/sample.part && mv run/sample.part run/sample.ndjson; }
	$(EMX) import run/sample.ndjson --tenant demo
	@printf '\nWhich commands cost this company the most time, and how often do they fail?\n\n'
	$(EMX) query --tenant demo --group-by command --metric count --metric success_rate \
	    --metric 'p50(duration_ms)' --metric 'p95(duration_ms)' --metric 'sum(duration_ms)' \
	    --order-by 'sum(duration_ms):desc' --limit 10
	@printf '%s\n' '' 'The data stays in run/data (`make clean-run` forgets it). Try next:' '' \
	    "  alias emx='$(EMX)'" \
	    "  emx query --tenant demo --bucket week --group-by team_id --metric success_rate" \
	    "  emx query --tenant demo --filter status=failure --group-by host --metric count" \
	    "  emx export --tenant demo --format csv --output run/executions.csv" \
	    "  emx help query" ''

clean-run:
	rm -rf run

test:
	@tests/run default
	$(CARGO) test $(ALL) --doc

soak:
	@EMX_SOAK=1 tests/run soak --nothing-skipped

check: check-advisories
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
