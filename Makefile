# Tandem. `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# deploy/env.sh holds the cgo flags and build tags; every recipe that runs Go sources it.
ENV := . deploy/env.sh;
# CGO_* and GOFLAGS hold absolute paths of this tree, so a sub-make must not inherit another tree's.
GOLANGCI := build/bin/golangci-lint-2.15.0
DEMO_FLAGS ?= --seeds 1,2,3
FUZZTIME ?= 30s

.PHONY: help demo test build deps deps-test lint vet bench bench-go bench-pipeline bench-soak bench-train bench-sync fuzz generate extractor clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 18

demo: build ## run the whole loop on the simulated cell; three seeds; results in build/demo (DEMO_FLAGS="--seeds 1": one)
	$(ENV) build/bin/tandem demo --out build/demo $(DEMO_FLAGS)

build: deps ## build build/bin/tandem
	@echo "build: build/bin/tandem"
	@$(ENV) go build -trimpath -o build/bin/tandem ./cmd/tandem

deps: ## install what a build needs (OpenCV packages, ONNX Runtime)
	@deploy/deps/install.sh

deps-test: ## install what the tests need besides
	@deploy/deps/install.sh --test

test: deps-test lint ## run vet, lint and all tests with the race detector
	@echo "test: go test -race ./..."
	@$(ENV) go test -race -timeout 20m ./...

vet:
	@echo "vet: go vet ./..."
	@$(ENV) go vet ./...

lint: deps vet $(GOLANGCI) ## run gofmt, vet and golangci-lint
	@echo "lint: golangci-lint run"
	@$(ENV) $(GOLANGCI) run --allow-parallel-runners --timeout 15m ./...

$(GOLANGCI):
	@echo "lint: building golangci-lint 2.15.0 (a few minutes, once)"
	@mkdir -p $(@D)/golangci
	@GOFLAGS= GOBIN=$(CURDIR)/$(@D)/golangci go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(@D)/golangci/golangci-lint $@

bench: bench-go bench-pipeline ## run the benchmarks of Go and the pipeline's; results in build/bench

bench-go: build ## run the benchmarks of the Go packages; result in build/bench/go.json
	@mkdir -p build/bench
	@{ echo "go: $$(go env GOVERSION)"; echo "cores: $$(getconf _NPROCESSORS_ONLN)"; } > build/bench/go.txt
	$(ENV) go test -run '^$$' -bench . -benchmem ./... | tee -a build/bench/go.txt
	@build/bin/tandem bench parse build/bench/go.txt > build/bench/go.json.new && mv build/bench/go.json.new build/bench/go.json
	@echo "bench: build/bench/go.json"

bench-pipeline: build ## time a device's pipeline beside its bare parts, a few minutes; result in build/bench/pipeline.json
	@mkdir -p build/bench
	@$(ENV) missed=0; build/bin/tandem bench pipeline --json > build/bench/pipeline.json.new || missed=$$?; \
		if [ -s build/bench/pipeline.json.new ]; then mv build/bench/pipeline.json.new build/bench/pipeline.json; fi; exit $$missed
	@echo "bench-pipeline: build/bench/pipeline.json"

bench-soak: build ## run a million frames through the pipeline, a quarter of an hour; result in build/bench/soak.json
	@mkdir -p build/bench
	@$(ENV) GOFLAGS="$$GOFLAGS,matprofile" go build -trimpath -o build/bench/tandem-soak ./cmd/tandem
	@$(ENV) missed=0; TANDEM_ONNXRUNTIME="$${TANDEM_ONNXRUNTIME:-build/lib/libonnxruntime.so.1}" \
		build/bench/tandem-soak bench soak --frames 1000000 --json > build/bench/soak.json.new || missed=$$?; \
		if [ -s build/bench/soak.json.new ]; then mv build/bench/soak.json.new build/bench/soak.json; fi; exit $$missed
	@echo "bench-soak: build/bench/soak.json"

bench-train: build ## time training steps beside PyTorch's figures; result in build/bench/train.json
	@mkdir -p build/bench
	@$(ENV) build/bin/tandem bench train --json > build/bench/train.json.new && mv build/bench/train.json.new build/bench/train.json
	@echo "bench-train: build/bench/train.json"

bench-sync: build ## measure clocks, stamps and pairs on simulated sites; result in build/bench/sync.json
	@mkdir -p build/bench
	@$(ENV) missed=0; data=../shared/data/two-stream-50salads; [ -d $$data ] || data=; \
		build/bin/tandem bench sync --features "$$data" --json > build/bench/sync.json.new || missed=$$?; \
		if [ -s build/bench/sync.json.new ]; then mv build/bench/sync.json.new build/bench/sync.json; fi; exit $$missed
	@echo "bench-sync: build/bench/sync.json"

fuzz: deps ## fuzz every decoder of outside bytes for FUZZTIME each
	@$(ENV) deploy/deps/fuzz.sh $(FUZZTIME)

generate: ## regenerate stream/wire from its .proto (needs protoc)
	@$(ENV) go generate ./stream/wire

extractor: build ## train the built-in image extractor again (10 minutes, more on a busy machine); result in build/extractor/trained
	@mkdir -p build/extractor
	@for crew in train/101 train/102 train/103 train/104 choose/105 test/106; do \
		out=build/extractor/$${crew%/*}/crew-$${crew#*/}; \
		[ -f $$out/.done ] || { rm -rf $$out; \
			build/bin/tandem sim --out $$out --takes 4 --seed $${crew#*/} --cameras exo1,exo2; touch $$out/.done; }; done
	build/bin/tandem train extractor --labelled build/extractor/train --choose build/extractor/choose --test build/extractor/test --out build/extractor/trained
	@echo "extractor: to build it in, copy extractor.json and extractor.ckpt from build/extractor/trained to trainer/backbone/builtin"

clean: ## remove build/
	rm -rf build
