package sqlite

import (
	"errors"
	"syscall"
)

// networkFileSystem names the network file system that a folder is on, or
// returns "". FUSE and 9P are not in the list: local disks of containers and
// sandboxes often appear as these, and nothing tells the two apart.
func networkFileSystem(dir string) string {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return ""
	}
	return networkName(uint32(st.Type))
}

// networkName knows the magic numbers of statfs(2).
func networkName(magic uint32) string {
	switch magic {
	case 0x6969:
		return "NFS"
	case 0x517b:
		return "SMB"
	case 0xff534d42:
		return "CIFS"
	case 0xfe534d42:
		return "SMB2"
	case 0x5346414f:
		return "AFS"
	case 0x00c36400:
		return "Ceph"
	case 0x73757245:
		return "Coda"
	case 0x564c:
		return "NCP"
	case 0x0bd00bd0:
		return "Lustre"
	}
	return ""
}

func readOnlyFileSystem(err error) bool { return errors.Is(err, syscall.EROFS) }
