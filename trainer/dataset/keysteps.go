package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// egoExoTake is what is read of a take in takes.json.
type egoExoTake struct {
	UID      string  `json:"take_uid"`
	Name     string  `json:"take_name"`
	Duration float64 `json:"duration_sec"`
	Capture  struct {
		Cameras []struct {
			ID    string `json:"cam_id"`
			IsEgo bool   `json:"is_ego"`
		} `json:"cameras"`
	} `json:"capture"`
}

// keystepTake is what is read of a take's annotation.
type keystepTake struct {
	Scenario string `json:"scenario"`
	Segments []struct {
		Start float64 `json:"start_time"`
		End   float64 `json:"end_time"`
		Step  int     `json:"step_unique_id"`
	} `json:"segments"`
}

// keysteps is what is read of a file of annotations.
type keysteps struct {
	takes      map[string]keystepTake // by uid
	vocabulary map[int]string
}

// readTakes reads of takes.json the takes that are annotated, by name. The file has some hundred megabytes and is read take by take.
func readTakes(path string, annotated map[string]keystepTake) (map[string]egoExoTake, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	takes, err := parseTakes(f, annotated)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return takes, nil
}

func parseTakes(r io.Reader, annotated map[string]keystepTake) (map[string]egoExoTake, error) {
	dec := json.NewDecoder(r)
	if err := expect(dec, json.Delim('[')); err != nil {
		return nil, err
	}
	takes := map[string]egoExoTake{}
	uids := map[string]bool{}
	for i := 0; dec.More(); i++ {
		var t egoExoTake
		if err := dec.Decode(&t); err != nil {
			return nil, fmt.Errorf("take %d: %w", i, err)
		}
		if _, ok := annotated[t.UID]; !ok {
			continue
		}
		if err := checkName("take", t.Name); err != nil {
			return nil, fmt.Errorf("take %d: %w", i, err)
		}
		if _, ok := takes[t.Name]; ok || uids[t.UID] {
			return nil, fmt.Errorf("take %d: %s (%s) is there twice", i, t.Name, t.UID)
		}
		takes[t.Name], uids[t.UID] = t, true
	}
	return takes, expect(dec, json.Delim(']'))
}

// readKeysteps reads a file of annotations.
func readKeysteps(path string) (*keysteps, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	k, err := parseKeysteps(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

func parseKeysteps(r io.Reader) (*keysteps, error) {
	dec := json.NewDecoder(r)
	k := &keysteps{takes: map[string]keystepTake{}, vocabulary: map[int]string{}}
	err := object(dec, func(key string) error {
		switch key {
		case "annotations":
			return object(dec, func(uid string) error {
				if _, ok := k.takes[uid]; ok {
					return fmt.Errorf("annotations: take %s is there twice", uid)
				}
				var t keystepTake
				if err := dec.Decode(&t); err != nil {
					return fmt.Errorf("annotations: take %s: %w", uid, err)
				}
				k.takes[uid] = t
				return nil
			})
		case "vocabulary":
			return object(dec, func(id string) error {
				n, err := strconv.Atoi(id)
				if err != nil {
					return fmt.Errorf("vocabulary: the id is %.40q, expected a whole number", id)
				}
				var name string
				err = dec.Decode(&name)
				k.vocabulary[n] = strings.TrimSpace(name)
				return err
			})
		}
		var skipped json.RawMessage
		return dec.Decode(&skipped)
	})
	switch {
	case err != nil:
		return nil, err
	case len(k.takes) == 0:
		return nil, errors.New("it holds no annotations, expected annotations.UID.segments")
	case len(k.vocabulary) == 0:
		return nil, errors.New("it holds no vocabulary")
	}
	return k, nil
}

// object calls fn with each key of a JSON object; fn reads the value.
func object(dec *json.Decoder, fn func(key string) error) error {
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return fmt.Errorf("found %v, expected a key", token)
		}
		if err := fn(key); err != nil {
			return err
		}
	}
	return expect(dec, json.Delim('}'))
}

// expect reads a token that must be there.
func expect(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("found %v, expected %q", token, want.String())
	}
	return nil
}
