# Everything one does with this tree. `make` alone says what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# A fresh clone has to build as root, as anybody, and whatever GOFLAGS the shell brought along: the version is stamped here instead of by go.
export GOFLAGS := -buildvcs=false
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X github.com/switchback-dr/switchback/pkg/telemetry.Version=$(VERSION)
TOOL := go tool -modfile=test/tools/tools.mod
# Packages whose tests run real servers and judge by time: one after the other, with nothing beside them but COMPUTE.
LIVE := ./pkg/bus/... ./pkg/client ./regionagent/driver/postgres/... ./regionagent/driver/exec ./regionagent/driver/airflow/... ./regionagent/export ./regionagent/freezer ./regionagent/guard ./test/stage ./test/browser ./test/e2e ./test/matrix
# What computes for minutes and judges by no time: it runs beside the others, but only on what they leave idle.
COMPUTE := ./controller/fleet ./test/model/... ./test/sim/...
IDLE = $(shell chrt -i 0 true 2>/dev/null && echo chrt -i 0 || echo nice -n 19)
PURE := $(addprefix ./,$(wildcard events controller/decide controller/gate controller/rollout controller/fleet regionagent/lease))
SEEDS ?= 300
# What every run of the tests simulates: no seed may break an invariant.
TEST_SEEDS ?= 5000
SEED ?=
SCRIPT ?=
AIRFLOW ?=
CELLS ?=
GROUPS ?= 40

.PHONY: help build check fmt vet lint generated hygiene race sim model test compute matrix e2e-fleet e2e-console e2e-airflow conformance demo airflow-lock bench clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/switchback
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/switchback ./cmd/switchback

check: fmt vet lint generated hygiene race sim ## what a change has to pass before it is shown to anybody (under 2 minutes, warm)

fmt: ## every file is gofmt's
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not gofmt's:"; echo "$$bad"; exit 1; fi

vet: ## go vet
	go vet ./...

lint: ## staticcheck, the version pinned in test/tools/tools.mod
	$(TOOL) staticcheck ./...

generated: ## what is generated is what would be generated now
	@before=$$(git status --porcelain | sha256sum; git diff | sha256sum); go generate ./...; \
	after=$$(git status --porcelain | sha256sum; git diff | sha256sum); \
	if [ "$$before" != "$$after" ]; then echo "go generate changed files: look at git diff, and commit them"; git status --short; exit 1; fi

hygiene: ## purity, import direction, documents, sizes, words
	go test -count=1 ./test/hygiene

race: ## the pure packages under the race detector
	go test -race $(PURE)

sim: build ## simulate SEEDS=300 fleets under faults, or one: make sim SEED=7
	bin/switchback sim $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

model: ## explore the rules as built, then without each rule: ONLY=part of a name, TRACE=1 says how in words
	go run ./test/model/run $(if $(ONLY),-only $(ONLY)) $(if $(TRACE),-trace)

test: build ## every test, and TEST_SEEDS=5000 simulated fleets; installs PostgreSQL, Prometheus and Airflow if they are missing
	@deploy/need.sh prometheus
	@deploy/need.sh avn
	@deploy/need.sh airflow
	@deploy/need.sh chromium
	@mkdir -p bin .cache && rm -f .cache/counts
	@go build -o bin/count ./test/tools/count
	{ setsid $(IDLE) $(MAKE_COMMAND) -s compute > .cache/compute 2>&1 & compute=$$!; trap "kill -- -$$compute 2>/dev/null || :" EXIT; \
	  go test -json -count=1 -timeout 45m -p 1 $(LIVE) || status=1; \
	  go test -json -count=1 -timeout 20m $$(go list ./... | grep -vxF "$$(go list $(LIVE) $(COMPUTE))") || status=1; \
	  wait $$compute || status=1; cat .cache/compute; exit $${status:-0}; } 2>&1 | bin/count -out .cache/counts

compute:
	@bin/count -as simulator -- bin/switchback sim --seeds $(TEST_SEEDS) || status=1; \
	go test -json -count=1 -timeout 60m -p 1 $(COMPUTE) || status=1; exit $${status:-0}

matrix: build ## every fault in every plane on real processes: make matrix, or some: make matrix CELLS='isolated|disk full'
	@deploy/need.sh
	@mkdir -p .cache
	go run ./test/tools/matrix -json .cache/matrix.json $(if $(CELLS),-cells '$(CELLS)')

e2e-fleet: ## 40 real groups lose their region and come home, their controllers killed 20 times on the way: a quarter of an hour on two cores
	@deploy/need.sh
	go test -count=1 -timeout 40m -v ./test/e2e -run '^TestFleetComesHome$$' -fleet-groups $(GROUPS) -fleet-kills 20

e2e-airflow: build ## real Airflow loses its region in the middle of a run, comes home, and loses its database where it stands
	@deploy/need.sh prometheus
	@deploy/need.sh airflow
	go test -tags airflow -count=1 -timeout 15m -v ./test/e2e -run '^TestWorkflows$$'

conformance: build ## real groups fail over and back by Aiven's own command line, curl and typed Go client: the published commands, with only names replaced
	@deploy/need.sh avn
	go test -count=1 -timeout 10m -v ./test/e2e -run '^TestAiven$$'

e2e-console: ## every page of the console in a real browser, in 1440 and 390 px, light and dark, held against axe-core; pictures in .cache/console
	@deploy/need.sh chromium
	go test -count=1 -timeout 20m -v ./test/browser -every-look

demo: build ## lose a region and see it move: make demo, with a workflow: make demo AIRFLOW=1, or unattended: make demo SCRIPT=1
	@deploy/need.sh
	$(if $(AIRFLOW),@deploy/need.sh airflow)
	bin/switchback demo $(if $(SCRIPT),--script) $(if $(AIRFLOW),--airflow "$$(deploy/airflow/install.sh --where)")

airflow-lock: ## resolve deploy/airflow/requirements.in anew, and uv itself: needs uv
	cd deploy/airflow && for f in requirements uv; do uv pip compile -q --universal --python-version 3.10 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade $$f.in -o $$f.lock; done

bench: ## benchmarks of every package
	@deploy/need.sh
	go test -run '^$$' -bench . -benchmem -timeout 30m ./...

clean: ## remove what was built
	rm -rf bin .cache
