// Package builtin holds the model that is part of the program: a small Llama
// that tells stories, trained by train.py in this folder; README.md says on what.
package builtin

import (
	"embed"

	"armor/model/checkpoint"
)

//go:embed model/*
var files embed.FS

// Name is what the model is called in messages.
const Name = "the built-in model"

// Open opens the embedded folder.
func Open() (*checkpoint.Checkpoint, error) {
	return checkpoint.Open(Name, func(name string) (checkpoint.Source, error) {
		data, err := files.ReadFile("model/" + name)
		if err != nil {
			return nil, err
		}
		return checkpoint.FromBytes(data), nil
	})
}
