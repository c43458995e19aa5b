"""Lowers the memory of a .tflite file by computing parts of it in bands of rows."""

from dataclasses import dataclass
from pathlib import Path

from frugalseg.cost.bands import Part
from frugalseg.cost.patches import MORE_MACS, patched
from frugalseg.cost.tflite import read_tflite
from frugalseg.cost.tflm import arena
from frugalseg.export.flatbuffer import read_model, write_model
from frugalseg.export.rewrite import Rewriter


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchReport:
    """What the pass has done. `arena` is that of TensorFlow Lite Micro, head and tail.

    `reason` says why the file was left as it is; it is empty where it was rewritten. Then `parts`
    are empty where it gained by places alone. Their indices are those of operators in the order in
    which the pass runs them.
    """

    parts: tuple[Part, ...]
    arena_bytes_before: int
    arena_bytes: int
    macs_before: int
    macs: int
    file_bytes_before: int
    file_bytes: int
    reason: str = ""

    @property
    def more_macs(self) -> float:
        """Share of multiply-accumulates that are computed twice."""
        return self.macs / self.macs_before - 1 if self.macs_before else 0.0


def patch(path: Path, *, ram_bytes: int | None = None, more_macs: float = MORE_MACS) -> PatchReport:
    """Rewrite the file in place, so that its arena has `ram_bytes` at most, or is the smallest.

    What it computes stays the same to the bit. Weights are stored once. At most a share of
    `more_macs` multiply-accumulates is computed twice. The file says where TensorFlow Lite Micro
    is to put each map: a pass that changes operators or tensors must come before this one, `order`
    included. Raises ArtifactError for a file that is no network of one subgraph.
    """
    graph = read_tflite(path, views=False)
    before, size = arena(graph).least_bytes, path.stat().st_size
    reason = "it was patched before" if graph.offsets else ""
    parts: tuple[Part, ...] = ()
    if not reason:
        model = read_model(path)
        rewriter = Rewriter(model, graph)
        undivided = rewriter.undivided(graph)
        found = patched(
            rewriter.with_windows(graph),
            ram_bytes=ram_bytes,
            more_macs=more_macs,
            undivided=undivided,
        )
        parts = found.parts
        if found.graph.offsets:
            rewriter.write(found.banded, found.order)
            write_model(model, path)
        elif ram_bytes is not None and before <= ram_bytes:
            reason = f"its {before:,} bytes are within {ram_bytes:,}"
        else:
            reason = f"no division or placing of it needs less than {before:,} bytes"
    after = read_tflite(path, views=False)
    return PatchReport(
        parts=parts,
        arena_bytes_before=before,
        arena_bytes=arena(after).least_bytes,
        macs_before=graph.macs,
        macs=after.macs,
        file_bytes_before=size,
        file_bytes=path.stat().st_size,
        reason=reason,
    )
