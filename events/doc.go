// Package events is the vocabulary of Switchback: the words, payloads, subjects and streams that every process shares.
//
// One catalogue (Catalogue, Streams) declares each message once: its type, the stream it lives in, its subject and its
// payload. Stream creation, decoding and the golden wire files all come from it, so adding a message is one struct, one row
// and one golden file.
//
// The package is pure: standard library only, no clock, no I/O. An Instant is an argument wherever time matters.
package events
