# anyrouter-gateway. `make` alone lists the targets.

SHELL := /bin/bash
CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# In CI the lock file is the law; at a desk a new dependency may still be added to it.
LOCKED := $(if $(CI),--locked)

.DEFAULT_GOAL := help
.PHONY: help run bolt panel panel-test panel-views panel-speed panel-bench build deb deb-test dist install-test docker-test test fmt lint unit e2e upgrade-load siege deny bench \
  bench-compare bench-quick pictures conversation refusals team-load month hold fuzz interleavings hooks clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and start the gateway on 127.0.0.1:8088 with conf/gateway.yaml
	@exec $(TARGET_DIR)/release/anyrouter-gateway -c conf/gateway.yaml

build: ## release build, after installing what the build needs
	@scripts/prepare.sh build
	@scripts/panel.sh
	$(CARGO) build --release $(LOCKED) -p anyrouter-gateway
	@scripts/panel.sh verdict

bolt: ## release build laid out by what a run of it calls, into target/bolt (x86-64; needs bolt-22 of Debian)
	@scripts/prepare.sh build
	@scripts/panel.sh
	@scripts/bolt.sh

deb: build ## Debian package in target/package (needs cargo-deb)
	scripts/package.sh

deb-test: deb ## install, upgrade and remove that package under a systemd of its own (root)
	unshare --net sh -c 'ip link set lo up && exec tests/systemd/boot.sh tests/systemd/package.sh target/package/*.deb'

dist: ## what a release consists of, in target/dist: archive, package, SBOM, install.sh, sums (RELEASES=https://.../releases)
	@scripts/prepare.sh dist
	@scripts/panel.sh
	TRIPLE=$(TRIPLE) RELEASES=$(RELEASES) scripts/dist.sh

install-test: ## install.sh with what is in target/dist, in bare roots of Debian 11 and 12 and under a systemd of its own (root)
	@scripts/prepare.sh docker
	shellcheck install.sh scripts/dist.sh
	tests/install/test.py target/dist

docker-test: ## run each step of the Dockerfile, and the image as Docker Compose would, without Docker (root, 10 min)
	@scripts/prepare.sh docker
	tests/docker/test.py

upgrade-load: ## ten upgrades, ten more against another user (root), and twenty reloads, half of them bad, under load with 200 streams
	GATEWAY_TEST_UPGRADES=10 GATEWAY_TEST_RELOADS=20 GATEWAY_TEST_STREAMS=200 \
	  $(CARGO) test $(LOCKED) --test upgrade --test other_users --test reload -- --nocapture --test-threads 1 under_load

siege: ## 800 slow clients, 10,000 idle connections, two hoarders of bodies and a flood of wrong keys from one address, beside another one's requests
	GATEWAY_TEST_SLOW=800 GATEWAY_TEST_IDLE=10000 GATEWAY_TEST_GUESSERS=4 GATEWAY_TEST_SECONDS=20 GATEWAY_TEST_CORES=$$(nproc) \
	  $(CARGO) test --release $(LOCKED) --test slow_clients -- --nocapture --test-threads 1 while_one_address

test: ## everything: format, import rules, clippy, all tests, licences, real SDK clients
	@scripts/test.sh

fmt: ## format the code
	$(CARGO) fmt --all

lint: ## format, import rules, clippy with warnings denied
	@scripts/test.sh format imports clippy

unit: ## Rust tests: unit, integration, documentation
	@scripts/test.sh build tests doctests

deny: ## licences, banned and duplicate crates, sources (needs cargo-deny)
	@scripts/test.sh deny

panel: ## build the web panel into static/dist (needs Node.js 20.19 or newer)
	@scripts/panel.sh

panel-test: ## the panel in Chromium and all else of e2e: what people do, and every view in every pair of language, theme and width
	@scripts/test.sh panel build e2e

panel-views: ## every view of the panel in both languages, both themes, at 1440, 820 and 390 px: nothing is wrong; pictures in target
	@scripts/panel.sh
	@scripts/test.sh build
	@scripts/e2e.sh views.py

panel-speed: ## how much of the browser's time the panel takes: a load on a slow processor, and 200 live events a second
	@scripts/panel.sh
	@cd e2e/panel && npm ci --silent --ignore-scripts --no-audit --no-fund && node speed.mjs

panel-bench: ## what the panel's pages take with 100,000 requests in the log, and how the list scrolls (release build)
	@scripts/prepare.sh test
	@scripts/panel.sh
	$(CARGO) build --release $(LOCKED) --workspace --bins --example fill_log
	@cd e2e/panel && npm ci --silent --ignore-scripts --no-audit --no-fund && node long_log.mjs $(abspath $(TARGET_DIR))/release

pictures: ## README's pictures and its terminal, from the real programs and made-up data, into docs/images
	@scripts/prepare.sh pictures
	@scripts/panel.sh
	@scripts/test.sh build
	@scripts/e2e.sh pictures.py

e2e: ## official SDKs, Claude Code, schemathesis and Prometheus against the real gateway and a mock upstream
	@scripts/test.sh build e2e

conversation: ## Claude Code through reloads, upgrades and failovers, TURNS (50) requests, with a report (after make e2e)
	@cd e2e && .venv/bin/python python/conversation.py $(abspath $(TARGET_DIR))/debug $(or $(TURNS),50) $(RELEASE)

refusals: ## what Claude Code makes of the gateway's refusals, into docs/clients.md and docs/team.md (10 min, after make e2e)
	@cd e2e && .venv/bin/python python/refusals.py $(abspath $(TARGET_DIR))/debug --write
	@cd e2e && .venv/bin/python python/team_refusals.py $(abspath $(TARGET_DIR))/debug --write

team-load: ## budgets over 30 runs, places over 100,000 requests, a hunt for 100 tokens, and guesses of tokens (40 min; SEEDS=1: 3 runs)
	@scripts/test.sh build
	@scripts/e2e.sh python/team_overspend.py $(SEEDS)
	@scripts/e2e.sh python/team_places.py
	@scripts/e2e.sh python/team_leaks.py
	@scripts/e2e.sh python/team_guesses.py

month: ## a month of a team of twenty, DAYS (30), SEED (1): statistics and limits as in its trace, nothing grows (30 min)
	@scripts/test.sh build
	@scripts/e2e.sh python/month.py $(or $(DAYS),30) $(or $(SEED),1)

bench: ## full benchmark, side by side with nginx, haproxy, FastAPI and a bare Pingora proxy
	@scripts/prepare.sh bench
	$(CARGO) run --release $(LOCKED) -p bench -- run

bench-compare: ## CPU time of this build beside that of the commit BEFORE (HEAD~1); fails if it is slower
	@scripts/prepare.sh build
	@scripts/bench-compare.sh $(or $(BEFORE),HEAD~1)

bench-quick: ## the same benchmark, short
	$(CARGO) run --release $(LOCKED) -p bench -- run --quick

hold: ## faults of upstreams, roads and clients, reloads, upgrades and kills, drawn from SEED for SECONDS (900) or HOURS, with a model that knows what may happen
	HOLD_SEED=$(SEED) HOLD_SECONDS=$(or $(SECONDS),$(if $(HOURS),$$(( $(HOURS) * 3600 )),900)) \
	  $(CARGO) test $(LOCKED) --test hold -- --nocapture --test-threads 1 every_request

fuzz: ## fuzz what reads and decides, TARGET=name or all in turn, FUZZ_SECONDS (600) each (needs cargo-fuzz)
	@scripts/fuzz.sh $(TARGET)

interleavings: ## what is lock-free in the limits of a team, in all interleavings of its threads (loom)
	RUSTFLAGS="$(RUSTFLAGS) --cfg interleaved" CARGO_TARGET_DIR=$(TARGET_DIR)/interleaved \
	  $(CARGO) test $(LOCKED) -p gateway-core --lib interleavings

hooks: ## check format and imports before each commit in this clone
	git config core.hooksPath scripts/hooks

clean: ## remove everything that was built or installed here
	$(CARGO) clean
	rm -rf e2e/.venv e2e/node_modules e2e/.pytest_cache
