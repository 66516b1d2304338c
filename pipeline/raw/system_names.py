"""Names that systems, network disks and viewers give to what they leave in people's folders."""

_EVERYWHERE = {
    "Windows": "thumbs.db ehthumbs.db ehthumbs_vista.db desktop.ini autorun.inf $recycle.bin "
    "recycler recycled found.000 wpsettings.dat indexervolumeguid",
    "macOS": "__macosx icon\r",
    "Unix": "lost+found",
    "Android": "lost.dir",
    "Synology": "@eadir @tmp @sharebin @synoresource #recycle #snapshot",
    "QNAP": "@recycle @recently-snapshot @__thumb @transcode",
    "other network disks": "~snapshot #archive",
    "viewers": "picasa.ini zbthumbnail.info pspbrwse.jbf",
    "sync tools": "_gsdata_ sync.ffs_lock",
    "Python": "__pycache__",
}
_WITH_BLANKS = (
    "system volume information",
    "network trash folder",
    "temporary items",
    "desktop db",
    "desktop df",
    "adobe bridge cache.bc",
    "adobe bridge cache.bct",
)
_STARTS = ("~$", "~syncthing~", "@gmt-")

_ENDS = ("zone.identifier",)
"""Of files that Windows writes beside a download where a disk has no other place for them."""

_NAMES = {name for names in _EVERYWHERE.values() for name in names.split(" ")} | {*_WITH_BLANKS}


def is_system_name(name: str) -> bool:
    """Return whether a system, a disk or a viewer made a file or folder of this name by itself."""
    lower = name.lower()
    return lower in _NAMES or lower.startswith(_STARTS) or lower.endswith(_ENDS)
