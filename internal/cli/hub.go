package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"armor/model/hub"
)

// HubOptions are the cache and the hub that the environment names, as Python's
// huggingface_hub reads it.
func HubOptions(env func(string) string) (hub.Options, error) {
	o := hub.Options{Endpoint: env("HF_ENDPOINT"), Token: strings.TrimSpace(env("HF_TOKEN"))}
	home, homeErr := os.UserHomeDir()
	expand := func(path string) string {
		if rest, ok := strings.CutPrefix(path, "~/"); ok && homeErr == nil {
			path = filepath.Join(home, rest)
		}
		return os.Expand(path, env)
	}
	for _, place := range []struct {
		variable string
		below    []string
	}{
		{"HF_HUB_CACHE", nil},
		{"HUGGINGFACE_HUB_CACHE", nil}, // its old name
		{"HF_HOME", []string{"hub"}},
		{"XDG_CACHE_HOME", []string{"huggingface", "hub"}},
	} {
		if v := env(place.variable); v != "" {
			o.CacheDir = filepath.Join(append([]string{expand(v)}, place.below...)...)
			return o, nil
		}
	}
	if homeErr != nil {
		return o, fmt.Errorf("the cache of the hub: %w; set HF_HUB_CACHE", homeErr)
	}
	o.CacheDir = filepath.Join(home, ".cache", "huggingface", "hub")
	return o, nil
}

// FindModel turns a model argument into a path: what is on disk as it is, and
// ORG/NAME into what the hub's cache holds of it.
func FindModel(argument string) (string, error) {
	if _, err := os.Stat(argument); err == nil || !errors.Is(err, os.ErrNotExist) {
		return argument, nil
	}
	if _, err := hub.ParseName(argument); err != nil {
		return argument, nil // whoever opens it says that it is not there
	}
	o, err := HubOptions(os.Getenv)
	if err != nil {
		return "", err
	}
	return hub.Resolve(argument, o)
}
