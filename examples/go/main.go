// Match, contribute and follow from Go. Set HASHDB_URL and HASHDB_KEY (scopes contribute, match and feed).
//
//	go run . match PICTURE | go run . contribute PICTURE LABEL | go run . follow
//
// To use a sidecar, set HASHDB_URL=http://127.0.0.1:8765 or unix:/run/hashdb-sidecar/sidecar.sock, and no key.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

type picture struct {
	Signals  []string `json:"signals"`
	Quality  *int     `json:"quality,omitempty"`
	Duration *float64 `json:"duration,omitempty"`
}

type draft struct {
	picture
	Labels    []string  `json:"labels"`
	RemovedAt time.Time `json:"removed_at"`
}

type changes struct {
	Changes []struct {
		Seq          int
		Gone         int
		Reason       string
		Contribution *struct{ ID int }
	}
	Checkpoint int
	Epoch      string
}

type problem struct {
	Status int
	Detail string
}

func (p problem) Error() string { return fmt.Sprintf("%d: %s", p.Status, p.Detail) }

type hashdb struct {
	base, key string
	http      http.Client
}

func open(address, key string) *hashdb {
	client := &hashdb{base: address, key: key, http: http.Client{Timeout: time.Minute}}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		client.base = "http://hashdb"
		client.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}
	}
	return client
}

// send sends a request and decodes the response into result. It returns an error response as a problem.
func (h *hashdb) send(method, path, contentType string, body io.Reader, result any) error {
	request, err := http.NewRequest(method, h.base+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	if h.key != "" {
		request.Header.Set("Authorization", "Bearer "+h.key)
	}
	response, err := h.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		failure := problem{Status: response.StatusCode}
		_ = json.NewDecoder(response.Body).Decode(&failure)
		return failure
	}
	return json.NewDecoder(response.Body).Decode(result)
}

func (h *hashdb) post(path string, content, result any) error {
	body, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return h.send("POST", path, "application/json", bytes.NewReader(body), result)
}

// hash returns the hashes of a picture, which the service computes. The service does not store the picture.
func (h *hashdb) hash(path string) (picture, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return picture{}, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "picture")
	if err != nil {
		return picture{}, err
	}
	_, _ = part.Write(file) // These two write to memory and cannot fail.
	_ = form.Close()
	var hashed struct{ Pictures []picture }
	if err := h.send("POST", "/v1/signals", form.FormDataContentType(), &body, &hashed); err != nil {
		return picture{}, err
	}
	// For a video, the service returns only hashes of the file: a re-encoded copy would not match.
	if len(hashed.Pictures) == 0 || hashed.Pictures[0].Duration != nil {
		return picture{}, errors.New("this is a video: send it to /v1/matches/media or /v1/contributions/media")
	}
	return hashed.Pictures[0], nil
}

func (h *hashdb) match(path string) error {
	hashed, err := h.hash(path)
	if err != nil {
		return err
	}
	var response struct {
		Results []struct {
			Action  string
			Matches []struct {
				Contribution int
				Labels       []string
			}
		}
	}
	body := map[string]any{"queries": []any{map[string]any{"signals": hashed.Signals}}}
	if err := h.post("/v1/matches", body, &response); err != nil {
		return err
	}
	// A match is advice to review: a person must decide before you remove content.
	result := response.Results[0]
	for _, match := range result.Matches {
		fmt.Printf("contribution %d: %s\n", match.Contribution, strings.Join(match.Labels, ","))
	}
	fmt.Println(result.Action)
	return nil
}

func (h *hashdb) contribute(path, label string) error {
	hashed, err := h.hash(path)
	if err != nil {
		return err
	}
	var response struct{ Contributions []struct{ ID int } }
	item := draft{hashed, []string{label}, time.Now().UTC()}
	if err := h.post("/v1/contributions", map[string]any{"contributions": []draft{item}}, &response); err != nil {
		return err
	}
	fmt.Printf("contribution %d\n", response.Contributions[0].ID)
	return nil
}

func (h *hashdb) follow() {
	position := url.Values{"after": {"0"}, "wait": {"20"}}
	for {
		var page changes
		err := h.send("GET", "/v1/changes?"+position.Encode(), "", nil, &page)
		var failure problem
		if errors.As(err, &failure) && failure.Status == http.StatusGone {
			// The service has another log, for example after a restore: start over.
			position.Set("after", "0")
			position.Del("epoch")
			continue
		}
		if err != nil {
			log.Printf("%v: retrying in 5 seconds", err)
			time.Sleep(5 * time.Second)
			continue
		}
		for _, change := range page.Changes {
			if change.Contribution != nil {
				fmt.Printf("%d: contribution %d\n", change.Seq, change.Contribution.ID)
			} else {
				fmt.Printf("%d: %d is gone (%s)\n", change.Seq, change.Gone, change.Reason)
			}
		}
		position.Set("after", strconv.Itoa(page.Checkpoint))
		position.Set("epoch", page.Epoch)
	}
}

func main() {
	log.SetFlags(0)
	address := os.Getenv("HASHDB_URL")
	if address == "" {
		address = "http://127.0.0.1:8000"
	}
	client, arguments := open(address, os.Getenv("HASHDB_KEY")), os.Args[1:]
	var err error
	switch {
	case len(arguments) == 2 && arguments[0] == "match":
		err = client.match(arguments[1])
	case len(arguments) == 3 && arguments[0] == "contribute":
		err = client.contribute(arguments[1], arguments[2])
	case len(arguments) == 1 && arguments[0] == "follow":
		client.follow()
	default:
		err = errors.New("usage: match PICTURE | contribute PICTURE LABEL | follow")
	}
	if err != nil {
		log.Fatal(err)
	}
}
