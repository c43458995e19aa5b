"""The page as a folder: whole, on a plain host, with artifacts in it that are artifacts."""

import json
import shutil
from pathlib import Path

import pytest

from frugalseg import Segmenter
from frugalseg.core.errors import ArtifactError, ConfigError
from frugalseg.core.files import sha256
from frugalseg.serve import static
from frugalseg.serve.static import write_static


def test_the_folder_has_all_files_as_a_plain_host_gives_them(golden: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    (model,) = write_static([golden], out)
    assert list(out.rglob("*.gz")) == []
    engine = next(out.glob("assets/engine/*.wasm"))
    assert engine.read_bytes()[:4] == b"\0asm"
    assert 'name="frugalseg-models" content="static.json"' in (out / "index.html").read_text()
    (told,) = json.loads((out / "static.json").read_text())["models"]
    assert told["default"] is True
    assert told["sha256"] == model.file.sha256
    assert (out / told["links"]["file"]).read_bytes() == model.content
    assert (out / told["links"]["card"]).read_text().startswith(f"# {model.name}")


def test_a_network_in_it_is_an_artifact(golden: Path, picture: Path, tmp_path: Path) -> None:
    (model,) = write_static([golden], tmp_path / "site")
    taken = Segmenter.open(tmp_path / "site" / "models" / model.version)
    assert taken.segment(picture).shares == Segmenter.open(golden).segment(picture).shares


def test_a_page_is_replaced_and_anything_else_is_left(golden: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_static([golden], out)
    (out / "models" / "old").mkdir()
    write_static([golden], out)
    assert not (out / "models" / "old").exists()
    for name in ("notes.txt", "models/mine.txt"):
        (out / name).write_text("mine")
        with pytest.raises(ConfigError, match=rf"more than a page \({name}\)"):
            write_static([golden], out)
        assert (out / name).read_text() == "mine"
        (out / name).unlink()
    (out / "static.json").write_text("[]")
    with pytest.raises(ConfigError, match="not a page"):
        write_static([golden], out)
    with pytest.raises(ConfigError, match="not a page"):
        write_static([golden], golden)


def test_a_page_of_another_release_is_replaced(
    golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(shutil.copytree(static.PAGE, tmp_path / "page"))
    (page / "assets" / "gone.js").write_text("")
    with monkeypatch.context() as before:
        before.setattr(static, "PAGE", page)
        write_static([golden], tmp_path / "site")
    write_static([golden], tmp_path / "site")
    assert not (tmp_path / "site" / "assets" / "gone.js").exists()


def test_what_no_browser_runs_is_refused(golden: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    artifact = Path(shutil.copytree(golden, tmp_path / "artifact"))
    _as_onnx(artifact)
    with pytest.raises(ArtifactError, match="--to litert_int8"):
        write_static([artifact], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def _as_onnx(artifact: Path) -> None:
    """Put an ONNX network of the same shapes in place of the artifact's own."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    takes = helper.make_tensor_value_info("image", kinds.UINT8, [1, 48, 64, 3])
    gives = helper.make_tensor_value_info("scores", kinds.FLOAT, [1, 48, 64, 5])
    weights = helper.make_tensor("w", kinds.FLOAT, [3, 5], [0.5] * 15)
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=kinds.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["scores"]),
    ]
    graph = helper.make_graph(nodes, "net", [takes], [gives], [weights])
    opset = [helper.make_opsetid("", 17)]
    path = artifact / "model.fp32.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))
    manifest = json.loads((artifact / "manifest.json").read_text())
    manifest["files"][0] |= {
        "path": path.name, "format": "onnx", "precision": "fp32", "input": "uint8",
        "bytes": path.stat().st_size, "sha256": sha256(path),
    }  # fmt: skip
    (artifact / "manifest.json").write_text(json.dumps(manifest))
