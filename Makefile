# One target a question. `make test` is the whole check: it installs what it needs, ends with Go's own summary, and whatever is wrong
# fails it. The steps of it are scripts in .ci, each of which can be run alone.

.PHONY: help build test quick lint fmt figures size bench fuzz soak clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

STEP := .ci/step.sh
FUZZTIME ?= 60s
LDFLAGS := -s -w $(if $(VERSION),-X github.com/edgegate/edgegate/caddymodule/gateway.version=$(VERSION))
LINT := .ci/bin/golangci-lint run --allow-parallel-runners

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-8s %s\n", $$1, $$2 }'

build: ## build .ci/out/edgegate, stripped; VERSION=v0.1.0 sets its version
	@mkdir -p .ci/out
	go build -trimpath -ldflags '$(LDFLAGS)' -o .ci/out/edgegate ./cmd/edgegate

test: ## everything, with installs: formats, linters, fuzzing, configs, the demo, xcaddy, all tests with the race detector
	@$(STEP) install 60 .ci/install.sh
	@$(STEP) tools 20 .ci/tools.sh
	@$(STEP) format 10 .ci/format.sh
	@$(STEP) build 20 $(MAKE) --no-print-directory build
	@$(STEP) vet 40 go vet ./...
	@$(STEP) vet-e2e 20 go vet -tags 'e2e soak' ./...
	@$(STEP) lint 60 $(LINT)
	@$(STEP) vulnerabilities 20 .ci/vuln.sh
	@$(STEP) configs 10 .ci/configs.sh
	@$(STEP) demo 30 .ci/demo.sh
	@$(STEP) figures 30 .ci/figures.sh -check
	@$(STEP) xcaddy 40 .ci/xcaddy.sh
	@$(STEP) fuzz 180 .ci/fuzz.sh 3s
	@$(STEP) go-test 300 .ci/gotest.sh
	@cat .ci/out/go-test.summary

quick: ## unit tests only, no installs
	go test ./...

lint: ## golangci-lint, built from .ci/tools
	@.ci/tools.sh
	$(LINT)

fmt: ## rewrite the Go files as the linters want them
	@.ci/tools.sh
	.ci/bin/golangci-lint fmt

figures: ## draw the figures of docs anew
	@.ci/figures.sh

size: ## what each library adds to the binary
	@.ci/size.sh

bench: ## benchmarks with allocations
	go test -run '^$$' -bench . -benchmem ./...

fuzz: ## every fuzz target for FUZZTIME (60s)
	@.ci/fuzz.sh $(FUZZTIME)

soak: ## long: every fuzz target for a minute, then the tests that take hours
	@.ci/install.sh
	@$(STEP) fuzz 3600 .ci/fuzz.sh 60s
	@$(STEP) soak 7200 env TAGS='e2e soak' TIMEOUT=2h .ci/gotest.sh
	@cat .ci/out/go-test.summary

clean: ## remove what the checks built
	rm -rf .ci/bin .ci/node .ci/out
