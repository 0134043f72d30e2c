export CGO_ENABLED = 0

.PHONY: test race noasm arm64 lint fuzz bench generate models hostile release ci

test: ## what a change must pass
	go test ./...

race: ## the race detector needs cgo
	CGO_ENABLED=1 go test -short -race ./kernels ./model/... ./runtime/... ./bench/... ./cmd/... ./prune/... ./internal/...

noasm: ## the reference path
	go test -short -tags noasm ./...

arm64:
	GOARCH=arm64 go vet ./...

lint:
	gofmt -l . | (! grep .)
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

fuzz: ## every fuzz target for a little while
	.ci/fuzz all 20s

bench: ## kernels, tokenizer, and whole models where ARMOR_MODELS is set
	go test -run '^$$' -bench . ./kernels/... ./model/...

generate: ## the generated kernels
	cd kernels/amd64/_gen && go run . ..

models: ## two small real models into ./models (580 MB of downloads)
	python3 ../shared/tools/get_models.py models

hostile: ## armor-run check over the corpora of malformed models
	.ci/hostile

DIST = dist
COMMIT = $(shell git rev-parse --short=12 HEAD)
VERSION = $(shell git describe --tags --always)
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

release: ## static binaries for all platforms, with checksums, in $(DIST)
	mkdir -p $(DIST)
	set -e; for p in $(PLATFORMS); do \
		os=$${p%/*}; arch=$${p#*/}; ext=; [ $$os != windows ] || ext=.exe; \
		for c in armor-run armor-prune; do GOOS=$$os GOARCH=$$arch go build -trimpath -ldflags "-s -w -X armor/internal/cli.version=$(VERSION) -X armor/internal/cli.commit=$(COMMIT)" \
			-o $(DIST)/$$c-$$os-$$arch$$ext ./cmd/$$c; done; \
	done
	cd $(DIST) && sha256sum armor-* > SHA256SUMS && cat SHA256SUMS

ci:
	bash .ci/run
