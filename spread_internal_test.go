package durable

import (
	"fmt"
	"testing"
)

func TestEA6_PartsInMemoryAreBounded(t *testing.T) {
	var p parts
	for i := range 100 {
		p.put(partOf{hash: fmt.Sprint(i), size: 1 << 20})
		if len(p.list) > 8 || p.list[len(p.list)-1].hash != fmt.Sprint(i) {
			t.Fatalf("%d pieces are kept", len(p.list))
		}
	}
	p.put(partOf{hash: "large", size: 100 << 20})
	if len(p.list) != 1 || p.list[0].hash != "large" {
		t.Errorf("%d pieces are kept beside a large one", len(p.list)-1)
	}
}
