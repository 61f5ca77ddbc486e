package kernel

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// The names under which the kernel lists what is ours (15 characters at most). They are how the next guard finds it.
const (
	programName = "sb_lease"
	wordsName   = "sb_words"
	marksName   = "sb_marks"
)

// The words of the one value of the map that guard and program share, each of 8 bytes. Layout and meaning never change under these names: a guard that is
// upgraded takes over what the one before it wrote.
const (
	wordDeadline = iota // CLOCK_BOOTTIME in ns: what carries data leaves before it
	wordLife            // the life of the server whose connections may speak
	wordPort            // the server's port; other sockets of the cgroup (a WAL receiver, an archiver) are not looked at
	wordLate            // packets dropped because the deadline was over
	wordFormer          // packets dropped because their connection belongs to a former life
	wordParent          // pid of the postmaster of this life, 0 = none was seen yet
	wordStart           // its start, in ticks since boot
	wordEnded           // 1: the life's server has ended, or is being killed; the next parent begins it
	words
)

// exempt is the part of a connection's mark that says it is never cut while its life lasts. The lower half of a mark is the life.
const exempt = 1 << 32

// Offsets of struct __sk_buff (linux/bpf.h, UAPI: they never change).
const (
	skbLen       = 0
	skbProtocol  = 16
	skbLocalPort = 136
	skbSocket    = 168
)

// newWords makes the shared map. It can be mapped into our memory, so that a deadline is one store: no system call that may block, and nobody reads half of it.
func newWords() (*ebpf.Map, error) {
	return ebpf.NewMap(&ebpf.MapSpec{Name: wordsName, Type: ebpf.Array, KeySize: 4, ValueSize: words * 8, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE})
}

// newMarks makes the map of marks, one on each socket. A connection inherits its listener's mark when it is accepted, in the kernel: there is no moment without.
func newMarks() (*ebpf.Map, error) {
	number := func(name string, size uint32) btf.Type { return &btf.Int{Name: name, Size: size} }
	return ebpf.NewMap(&ebpf.MapSpec{
		Name: marksName, Type: ebpf.SkStorage, KeySize: 4, ValueSize: 8, Flags: unix.BPF_F_NO_PREALLOC | unix.BPF_F_CLONE,
		Key: number("int", 4), Value: number("__u64", 8),
	})
}

// newProgram loads the program that judges every packet the cgroup's sockets send.
func newProgram(shared, marks *ebpf.Map) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: programName, Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetEgress, License: "Apache-2.0", Instructions: instructions(shared.FD(), marks.FD()),
	})
	if err != nil {
		return nil, fmt.Errorf("load program: %w", err)
	}
	return p, nil
}

// instructions is the program. Most packets take the straight way down to "in time": one lookup of the mark, one reading of the clock.
//
//	not the server's port            -> pass
//	its connection is of another life -> former, count and drop what carries data
//	its connection is exempt          -> pass
//	now is before the deadline        -> pass
//	otherwise                         -> late, count and drop what carries data
//
// What carries no data (SYN, ACK, FIN, RST) always passes: it tells a client nothing that a frozen server would not, and without it clients hang.
func instructions(shared, marks int) asm.Instructions {
	word := func(n int) int16 { return int16(n * 8) }
	is := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMapValue(asm.R8, shared, 0),
		asm.LoadMem(asm.R1, asm.R6, skbLocalPort, asm.Word),
		asm.LoadMem(asm.R2, asm.R8, word(wordPort), asm.DWord),
		asm.JNE.Reg(asm.R1, asm.R2, "pass"),

		asm.LoadMem(asm.R1, asm.R6, skbSocket, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "pass"),
		asm.FnSkFullsock.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.Mov.Reg(asm.R2, asm.R0),
		asm.LoadMapPtr(asm.R1, marks),
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSkStorageGet.Call(),
		asm.Mov.Imm(asm.R7, 0),
		asm.JEq.Imm(asm.R0, 0, "life"),
		asm.LoadMem(asm.R7, asm.R0, 0, asm.DWord),

		asm.Mov.Reg(asm.R1, asm.R7).WithSymbol("life"),
		asm.LSh.Imm(asm.R1, 32),
		asm.RSh.Imm(asm.R1, 32),
		asm.LoadMem(asm.R2, asm.R8, word(wordLife), asm.DWord),
		asm.JNE.Reg(asm.R1, asm.R2, "former"),
		asm.RSh.Imm(asm.R7, 32),
		asm.JNE.Imm(asm.R7, 0, "pass"),

		asm.FnKtimeGetBootNs.Call(),
		asm.LoadMem(asm.R1, asm.R8, word(wordDeadline), asm.DWord),
		asm.JGT.Reg(asm.R1, asm.R0, "pass"),

		asm.Mov.Imm(asm.R9, wordLate*8),
		asm.Ja.Label("data"),
		asm.Mov.Imm(asm.R9, wordFormer*8).WithSymbol("former"),
	}
	is = append(is, carriesData()...)
	return append(is,
		asm.Add.Reg(asm.R8, asm.R9).WithSymbol("drop"),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R8, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("pass"),
		asm.Return(),
	)
}

// carriesData jumps to "pass" for a TCP segment without payload and falls through to "drop" for everything else, also for what it can't read.
func carriesData() asm.Instructions {
	load := func(from, to int, n int32) asm.Instructions { // n bytes of the packet to the stack
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, int32(to)), asm.Mov.Imm(asm.R4, n),
			asm.FnSkbLoadBytes.Call(), asm.JNE.Imm(asm.R0, 0, "drop"),
		}
	}
	is := asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, skbProtocol, asm.Word).WithSymbol("data"), // network byte order
		asm.JEq.Imm(asm.R1, 0x0008, "ipv4"),
		asm.JNE.Imm(asm.R1, 0xdd86, "drop"),
		asm.Mov.Imm(asm.R2, 6), // next header of IPv6; another than TCP is an extension, which no server of ours sends
	}
	is = append(is, load(0, -8, 1)...)
	is = append(is,
		asm.LoadMem(asm.R1, asm.RFP, -8, asm.Byte),
		asm.JNE.Imm(asm.R1, unix.IPPROTO_TCP, "drop"),
		asm.Mov.Imm(asm.R7, 40), // length of the header before TCP's
		asm.Ja.Label("tcp"),
		asm.Mov.Imm(asm.R2, 9).WithSymbol("ipv4"),
	)
	is = append(is, load(0, -8, 1)...)
	is = append(is,
		asm.LoadMem(asm.R1, asm.RFP, -8, asm.Byte),
		asm.JNE.Imm(asm.R1, unix.IPPROTO_TCP, "drop"),
		asm.Mov.Imm(asm.R2, 0),
	)
	is = append(is, load(0, -8, 1)...)
	is = append(is,
		asm.LoadMem(asm.R7, asm.RFP, -8, asm.Byte),
		asm.And.Imm(asm.R7, 0xf),
		asm.LSh.Imm(asm.R7, 2),
		asm.Mov.Reg(asm.R2, asm.R7).WithSymbol("tcp"),
		asm.Add.Imm(asm.R2, 12), // the byte that holds the length of TCP's header
	)
	is = append(is, load(0, -8, 1)...)
	return append(is,
		asm.LoadMem(asm.R1, asm.RFP, -8, asm.Byte),
		asm.RSh.Imm(asm.R1, 4),
		asm.LSh.Imm(asm.R1, 2),
		asm.Add.Reg(asm.R7, asm.R1),
		asm.LoadMem(asm.R1, asm.R6, skbLen, asm.Word),
		asm.JEq.Reg(asm.R1, asm.R7, "pass"),
	)
}
