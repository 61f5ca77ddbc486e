package bus

import (
	"fmt"
	"reflect"
)

// differences says, field by field, where a stream is not as wanted. What is written for people, what the server adds for itself, and where a
// stream's sequences began never differs.
func differences[T any](want, have T) []string {
	var out []string
	w, h := reflect.ValueOf(want), reflect.ValueOf(have)
	for i := range w.NumField() {
		name := w.Type().Field(i).Name
		a, b := w.Field(i).Interface(), h.Field(i).Interface()
		if name != "Doc" && name != "Description" && name != "Metadata" && name != "FirstSeq" && !reflect.DeepEqual(a, b) {
			out = append(out, fmt.Sprintf("%s is %+v, want %+v", name, b, a))
		}
	}
	return out
}
