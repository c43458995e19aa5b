from pathlib import Path

from frugalseg.runtime.card import model_card
from frugalseg.runtime.manifest import Manifest


def test_the_card_tells_how_to_feed_it_and_what_it_scored(golden: Path) -> None:
    manifest = Manifest.load(golden)
    card = model_card(manifest)
    assert "64 pixels wide and 48 high" in card
    assert all(f"| {name} | " in card for name in manifest.label_space.names)
    scores = manifest.files[0].scores
    assert scores is not None
    assert f"{100 * scores['miou']:.2f} %" in card


def test_the_card_in_the_artifact_is_that_of_its_manifest(golden: Path) -> None:
    written = (golden / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert written == model_card(Manifest.load(golden))


def test_a_class_without_score_is_absent(golden: Path) -> None:
    manifest = Manifest.load(golden)
    scores = {**(manifest.files[0].scores or {}), "iou": {"paper": None}}
    file = manifest.files[0].model_copy(update={"scores": scores})
    assert "| paper | absent |" in model_card(manifest.model_copy(update={"files": (file,)}))
