package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"armor/internal/cli"
	"armor/model"
	"armor/model/tokenizer"

	"github.com/spf13/cobra"
)

type tokenizeFlags struct {
	model        string
	decode, json bool
	special      bool
}

func newTokenize() *cobra.Command {
	f := &tokenizeFlags{}
	c := &cobra.Command{
		Use:   "tokenize [flags] [TEXT | --decode ID...]",
		Short: "Turn text into token ids, or ids back into text",
		Long:  "Turn text (an argument, or standard input) into token ids, or with --decode ids back into text.",
		RunE:  func(c *cobra.Command, a []string) error { return f.run(c, a) },
	}
	addModelFlag(c, &f.model)
	c.Flags().BoolVar(&f.decode, "decode", false, "ids to text")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	c.Flags().BoolVar(&f.special, "special", false, "add the tokens that the model begins and ends a text with")
	return c
}

func (f *tokenizeFlags) run(c *cobra.Command, a []string) error {
	path, err := modelPath(c.Context(), f.model)
	if err != nil {
		return err
	}
	if !f.decode && len(a) > 1 {
		return cli.Usage(fmt.Errorf("one text, got %d arguments; quote it", len(a)))
	}
	t, err := openTokenizer(path)
	if err != nil {
		return err
	}
	input := strings.Join(a, " ")
	if len(a) == 0 {
		if input, err = readAll(os.Stdin, "standard input", maxPrompt); err != nil {
			return err
		}
	}
	w := bufio.NewWriter(c.OutOrStdout())
	if f.decode {
		err = f.printText(w, t, input)
	} else {
		err = f.printIDs(w, t, input)
	}
	return errors.Join(err, w.Flush())
}

// openTokenizer reads no weights.
func openTokenizer(path string) (*tokenizer.Tokenizer, error) {
	ck, err := model.Open(path)
	if err != nil {
		return nil, err
	}
	t, err := model.LoadTokenizer(ck)
	return t, errors.Join(err, ck.Close())
}

func (f *tokenizeFlags) printIDs(w io.Writer, t *tokenizer.Tokenizer, text string) error {
	ids := t.Encode(text, tokenizer.Options{AddSpecial: f.special, ParseSpecial: true})
	if f.json {
		tokens := make([]string, len(ids))
		for i, id := range ids {
			tokens[i], _ = t.Token(id)
		}
		return json.NewEncoder(w).Encode(map[string]any{"ids": ids, "tokens": tokens})
	}
	for i, id := range ids {
		if i > 0 {
			fmt.Fprint(w, " ")
		}
		fmt.Fprint(w, id)
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (f *tokenizeFlags) printText(w io.Writer, t *tokenizer.Tokenizer, input string) error {
	var ids []int32
	for _, word := range strings.FieldsFunc(input, func(r rune) bool { return strings.ContainsRune(" \t\r\n,[]", r) }) {
		id, err := strconv.ParseInt(word, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is not a token id", word)
		}
		if _, ok := t.Token(int32(id)); !ok {
			return fmt.Errorf("token id %d is not in the vocabulary of %d", id, t.VocabSize())
		}
		ids = append(ids, int32(id))
	}
	text := t.Decode(ids, false)
	if f.json {
		return json.NewEncoder(w).Encode(map[string]any{"text": text})
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}
