package main

import (
	"strings"
	"testing"
)

const stream = `{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"    chatter\n"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestBad","Output":"    bad_test.go:3: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestBad"}
{"Action":"output","Package":"p","Test":"TestShy","Output":"=== RUN   TestShy\n"}
{"Action":"output","Package":"p","Test":"TestShy","Output":"    shy_test.go:9: no server\n"}
{"Action":"output","Package":"p","Test":"TestShy","Output":"--- SKIP: TestShy (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestShy"}
{"Action":"output","Package":"p","Test":"TestWindows","Output":"    w_test.go:1: impossible here: no signals\n"}
{"Action":"skip","Package":"p","Test":"TestWindows"}
{"Action":"output","Package":"p","Test":"TestKilled","Output":"panic: test timed out\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"output","Package":"q","Output":"ok  \tq\t0.1s\n"}
{"Action":"skip","Package":"r"}
`

func TestRead(t *testing.T) {
	var out strings.Builder
	skips, err := read(strings.NewReader(stream), &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"got 1, want 2", "panic: test timed out", "FAIL\tp", "ok  \tq"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "chatter") {
		t.Errorf("what a passing test said was printed:\n%s", out.String())
	}
	var got []string
	for _, s := range skips {
		got = append(got, s.String())
	}
	want := "skipped\tp TestShy\tshy_test.go:9: no server\nimpossible\tp TestWindows\tw_test.go:1: impossible here: no signals"
	if strings.Join(got, "\n") != want {
		t.Errorf("skips:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
}
