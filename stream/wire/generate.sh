#!/bin/sh
# Regenerates tandem.pb.go. The plugin is the one of the protobuf version in go.mod; protoc is Debian's.
set -eu
cd "$(dirname "$0")"
command -v protoc >/dev/null || { echo "generate: protoc is missing; install it with: apt-get install protobuf-compiler" >&2; exit 1; }
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
PATH="$bin:$PATH" protoc --go_out="${1:-.}" --go_opt=paths=source_relative tandem.proto
