package examples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/durable-go/durable"
)

// [blob]
type Scan struct {
	Pages []string `json:"pages"` // hashes: the state stays small
	Words int      `json:"words,omitempty"`
}

func scan(ctx context.Context, s *Scan) error {
	for n := range 3 {
		hash, err := durable.Do(ctx, "page", func(ctx context.Context) (string, error) {
			image := strings.Repeat("pixels ", 1000+n) // up to 16 MiB
			return durable.Blob(ctx, []byte(image))    // durable with the record of this Do
		})
		if err != nil {
			return err
		}
		s.Pages = append(s.Pages, hash)
	}
	return nil
}

func count(ctx context.Context, s *Scan) error {
	for _, hash := range s.Pages {
		image, err := durable.ReadBlob(ctx, hash) // in any step of the run
		if err != nil {
			return err
		}
		s.Words += len(strings.Fields(string(image)))
	}
	return nil
}

// [/blob]

func Example_blobs() {
	ctx := context.Background()
	w := durable.Define("scan", durable.Step("scan", scan), durable.Step("count", count))
	engine := open(w)
	defer engine.Close()
	run, _ := w.Start(ctx, engine, Scan{})
	s, err := run.Wait(ctx)
	fmt.Println(len(s.Pages), s.Words, err)

	// [blob-outside]
	image, err := engine.Blob(ctx, run.ID, s.Pages[0])
	// [/blob-outside]
	fmt.Println(len(image), err)

	// [calls]
	pages := 0
	for x, err := range engine.EachExecution(ctx, durable.Filter{Workflow: "scan"}, durable.WithCalls) {
		if err != nil {
			fmt.Println(err)
			break
		}
		for _, step := range x.Steps {
			for _, call := range step.Calls {
				var hash string
				if call.Name == "page" && call.Error == nil && json.Unmarshal(call.Result, &hash) == nil {
					pages++
				}
			}
		}
	}
	// [/calls]
	fmt.Println(pages)
	// Output:
	// 3 3003 <nil>
	// 7000 <nil>
	// 3
}
