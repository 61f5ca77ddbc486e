package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/switchback-dr/switchback/pkg/document"
)

// printable writes a document. Its one style sheet stands in it: only a sheet of that very digest is allowed.
func printable(w http.ResponseWriter, d *document.Document) {
	var b bytes.Buffer
	if err := d.HTML(&b); err != nil {
		http.Error(w, "the document can't be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src '"+styleSum(b.Bytes())+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// styleSum is the digest of a page's first style sheet, as a policy names it.
func styleSum(page []byte) string {
	_, rest, _ := bytes.Cut(page, []byte("<style>"))
	style, _, _ := bytes.Cut(rest, []byte("</style>"))
	sum := sha256.Sum256(style)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
