package bus

import (
	"fmt"
	"reflect"

	"github.com/switchback-dr/switchback/events"
)

// differences says, field by field, where a stream is not as wanted. Doc is for people and never differs.
func differences(want, have events.Stream) []string {
	want.Doc, have.Doc = "", ""
	var out []string
	w, h := reflect.ValueOf(want), reflect.ValueOf(have)
	for i := range w.NumField() {
		a, b := w.Field(i).Interface(), h.Field(i).Interface()
		if !reflect.DeepEqual(a, b) {
			out = append(out, fmt.Sprintf("%s is %v, want %v", w.Type().Field(i).Name, b, a))
		}
	}
	return out
}
