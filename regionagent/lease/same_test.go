package lease

import (
	"reflect"
	"testing"

	"github.com/switchback-dr/switchback/events"
)

// TestEveryFieldOfAReportCounts: a report is sent when anything of it changed, whatever fields it has.
func TestEveryFieldOfAReportCounts(t *testing.T) {
	t.Parallel()
	base := events.Report{}
	if !same(&base, &base) {
		t.Fatal("a report is not the same as itself")
	}
	for i := range reflect.TypeFor[events.Report]().NumField() {
		other := events.Report{}
		name := reflect.TypeOf(other).Field(i).Name
		change(t, reflect.ValueOf(&other).Elem().Field(i))
		if same(&base, &other) {
			t.Errorf("a change of %s makes no difference: its report would never be sent", name)
		}
	}
}

func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct:
		change(t, v.Field(0))
	default:
		t.Fatalf("no change is known for a %s", v.Kind())
	}
}
