# Segment Export for Omnisend. `make help` lists the targets.

GOLANGCI_VERSION      := v2.15.0
WORKFLOWCHECK_VERSION := v0.6.0
AZURITE_VERSION       := 3.35.0
AXE_VERSION           := 4.14.1
TOOLS                 := $(CURDIR)/.tools
SIZE                  ?= 50000
RPM                   ?= 0
STORE                 ?= sqlite
WORKERS               ?= 1
# Built without the race detector: SQLite, translated from C. Whole runs then take half the time.
UNWATCHED             := modernc.org/sqlite/lib modernc.org/libc
PROGRAMS              := ./deployments/standalone ./worker ./starter ./deployments/sandbox
VERSION               ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT                := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
DATE                  := $(shell git log -1 --format=%cs 2>/dev/null || echo unknown)
BUILD                 := github.com/segment-export/segment-export/internal/build
# No symbols: linking takes less time and memory, and the programs are a third smaller.
LDFLAGS               := -s -w -X $(BUILD).version=$(VERSION) -X $(BUILD).commit=$(COMMIT) -X $(BUILD).date=$(DATE)
PLATFORMS             ?= linux/amd64 linux/arm64
SBOM_VERSION          := v1.10.0

.PHONY: help build man release demo dev deps tools test test-short lint bench soak soak-sources soak-reads screenshots generate clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

build: ## build bin/standalone, bin/worker, bin/starter, bin/sandbox
	@echo "building; the first time takes 5 to 10 minutes on 2 cores, since a Temporal server is compiled"
	@bash -o pipefail -c 'go build -v -ldflags "$(LDFLAGS)" -o bin/ $(PROGRAMS) 2>&1 | .ci/progress $$(go list -deps $(PROGRAMS) | wc -l)'

man: ## write the manual page of the command line, bin/starter.1
	@mkdir -p bin
	go run ./starter man > bin/starter.1

release: $(TOOLS)/cyclonedx-gomod ## archives with checksums and SBOMs in dist/: make release VERSION=v1.0.0
	@.ci/release "$(VERSION)" "$(LDFLAGS)" "$(PLATFORMS)" $(TOOLS)/cyclonedx-gomod

$(TOOLS)/cyclonedx-gomod:
	GOBIN=$(TOOLS) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(SBOM_VERSION)

demo dev: PROGRAMS := ./deployments/standalone ./starter # what they start

demo: build ## export the example segment into the sandbox, from nothing to the report
	@./examples/demo.sh

dev: build ## keep everything running on this machine, with the sandbox in place of Omnisend
	bin/standalone --sandbox --data-dir data --files-root .

deps: ## install the Debian packages that tests need, or say which are missing and how to install them
	@.ci/deps

tools: deps $(TOOLS)/azurite $(TOOLS)/axe ## install all that tests need: Debian's packages, and Azurite and axe with npm

$(TOOLS)/azurite: | deps
	npm install --prefix $@.new --no-audit --no-fund --loglevel error azurite@$(AZURITE_VERSION)
	mv $@.new $@

$(TOOLS)/axe: | deps
	npm install --prefix $@.new --no-audit --no-fund --loglevel error axe-core@$(AXE_VERSION)
	mv $@.new $@

test: tools ## all tests; RACE=-race adds the detector, as CI does
	go test $(RACE) $(if $(RACE),$(UNWATCHED:%=-gcflags=%=-race=false)) ./...

test-short: ## the tests that need nothing but Go, for use while working
	go test -short ./...

lint: $(TOOLS)/golangci-lint $(TOOLS)/workflowcheck ## golangci-lint, the workflow determinism check, and what must not be linked
	$(TOOLS)/golangci-lint run ./...
	$(TOOLS)/workflowcheck ./workflows/...
	@if go list -deps ./worker ./starter | grep -E '^go\.temporal\.io/server|temporalio/ui-server'; then \
		echo "worker or starter links the Temporal server"; exit 1; fi
	@if go list -deps ./starter | grep -E 'segment-export/(activities|workflows|internal/(store|alerting|metrics))|prometheus'; then \
		echo "the starter links what only a worker needs"; exit 1; fi

$(TOOLS)/golangci-lint:
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

$(TOOLS)/workflowcheck:
	GOBIN=$(TOOLS) go install go.temporal.io/sdk/contrib/tools/workflowcheck@$(WORKFLOWCHECK_VERSION)

bench: build ## measure a whole export: make bench SIZE=1000000 RPM=0 STORE=postgres WORKERS=2
	go run ./bench --size $(SIZE) --rpm $(RPM) --store $(STORE) --workers $(WORKERS)

soak: ## send 60,000 profiles at the real limit through every fault a run recovers from; about 15 minutes
	go test -tags soak -run TestSoak -count 1 -v -timeout 30m ./internal/e2e

soak-sources: tools ## run an export from every source through a kill and a reset: make soak-sources SIZE=1000000; about 10 minutes
	SEGMENT_EXPORT_TEST_SOURCE_SIZE=$(SIZE) go test -run TestEverySourceArrivesThroughBreaks -count 1 -v -timeout 60m ./internal/e2e

soak-reads: tools ## read a million rows from every source in flat memory and print the figures; about 4 minutes
	SEGMENT_ROWS=1000000 go test -run 'TestConformance/.*/many_rows' -count 1 -v -timeout 60m ./internal/segment/dataverse ./internal/segment/files ./internal/segment/postgres

generate: ## regenerate the example segment
	go run ./examples/generate --size 5000 --seed 1 > examples/segments/spring_buyers.csv

clean: ## remove what was built
	rm -rf bin dist .tools
