package examples_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"github.com/durable-go/durable"
)

// Report is what a run comes to.
type Report struct {
	Text string `json:"text"`
}

// [write]
func write(ctx context.Context, r *Report) (err error) {
	r.Text, err = durable.Do(ctx, "write", func(ctx context.Context) (string, error) {
		live, err := durable.Stream(ctx, "report") // where the text is made: a recorded Do streams nothing
		if err != nil {
			return "", err
		}
		var text strings.Builder
		for n := range 3 {
			part, err := compose(ctx, n) // takes its time
			if err != nil {
				return "", err
			}
			text.WriteString(part)
			fmt.Fprint(live, part) // an io.Writer that waits for nobody
		}
		return text.String(), live.End(text.String()) // in one write with the record
	})
	return err
}

// [/write]

// turns are when the next part is made: the example has its own idea of time.
type turns chan struct{}

func compose(ctx context.Context, n int) (string, error) {
	select {
	case <-ctx.Value(turns(nil)).(turns):
		return fmt.Sprintf("Part %d. ", n+1), nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// [sse]
// live sends a stream to browsers, which come back by themselves with the id of the last event.
func live(engine *durable.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := durable.ParseID(r.PathValue("run"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		after, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
		w.Header().Set("Content-Type", "text/event-stream")
		sent := false
		for x, err := range engine.Stream(r.Context(), id, "report", max(after, 0)) {
			if errors.Is(err, durable.ErrNotFound) {
				http.NotFound(w, r)
			}
			if err != nil {
				return // else the browser comes back
			}
			data, _ := json.Marshal(x)
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", x.Index, x.Kind, data)
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			sent = true
		}
		if !sent {
			w.WriteHeader(http.StatusNoContent) // it had all: it is not to come back
		}
	}
}

// [/sse]

// browse reads up to some events as a browser does, and shows them.
func browse(url, last string, limit int) string {
	req, _ := http.NewRequest("GET", url, nil)
	req.Header.Set("Last-Event-ID", last)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		fmt.Println(resp.Status)
	}
	n := 0
	for lines := bufio.NewScanner(resp.Body); n < limit && lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			last = id
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var x durable.StreamEvent
			_ = json.Unmarshal([]byte(data), &x)
			fmt.Printf("%s %q\n", x.Kind, x.Text)
			n++
		}
	}
	return last
}

func Example_streams() {
	next := make(turns)
	ctx := context.Background()
	w := durable.Define("report", durable.Step("write", func(ctx context.Context, r *Report) error {
		return write(context.WithValue(ctx, turns(nil), next), r)
	}))
	engine := open(w)
	defer engine.Close()
	mux := http.NewServeMux()
	mux.Handle("GET /runs/{run}/live", live(engine))
	server := httptest.NewServer(mux)
	defer server.Close()

	run, _ := w.Start(ctx, engine, Report{})
	url := server.URL + "/runs/" + run.ID.String() + "/live"
	next <- struct{}{}
	last := browse(url, "", 1)
	next <- struct{}{}
	last = browse(url, last, 1) // it comes back
	next <- struct{}{}
	r, err := run.Wait(ctx)
	fmt.Printf("%q %v\n", r.Text, err)
	last = browse(url, last, 9)
	browse(url, last, 9)
	browse(url, "", 9) // somebody who comes late

	// [read]
	for x, err := range run.Stream(ctx, "report", 0) {
		switch {
		case err != nil:
			fmt.Println(err)
		case x.Kind == durable.StreamText:
			fmt.Print(x.Text) // add it to what is there
		case x.Kind == durable.StreamReset:
			fmt.Println("again:") // what is there is void
		case x.Status != "":
			fmt.Println("the run is", x.Status, x.Error) // and the text may be half of one
		default:
			fmt.Println(x.Text) // the whole text, instead of what is there
		}
	}
	// [/read]

	// Output:
	// text "Part 1. "
	// text "Part 2. "
	// "Part 1. Part 2. Part 3. " <nil>
	// end "Part 1. Part 2. Part 3. "
	// 204 No Content
	// end "Part 1. Part 2. Part 3. "
	// Part 1. Part 2. Part 3.
}
