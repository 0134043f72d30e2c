export CGO_ENABLED = 0

.PHONY: test race noasm arm64 lint fuzz bench generate models ci

test: ## what a change must pass
	go test ./...

race: ## the race detector needs cgo
	CGO_ENABLED=1 go test -race ./kernels ./model/... ./runtime/... ./cmd/...

noasm: ## the reference path
	go test -tags noasm ./...

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

ci:
	bash .ci/run
