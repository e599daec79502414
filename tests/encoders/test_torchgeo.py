"""Members of TorchGeo's enums: bands, units and vectors as in TorchGeo's own pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from hfaef.encoders.base import Images, match, named_bands
from hfaef.encoders.torchgeo import CORPORA, channel_units, list_torchgeo, open_torchgeo
from hfaef.errors import HubError, InputError

torch = pytest.importorskip("torch")
torchgeo_datasets = pytest.importorskip("torchgeo.datasets")
models = pytest.importorskip("torchgeo.models")

pytestmark = pytest.mark.slow

EUROSAT = named_bands(torchgeo_datasets.EuroSAT.all_band_names)
IMAGES = Images(EUROSAT, "DN", "L1C")

MOCO_18 = "ResNet18_Weights.SENTINEL2_ALL_MOCO"

Maker = Callable[[int], Any]


def resnet(kind: str) -> Maker:
    return lambda channels: models.get_model(kind, in_chans=channels)


KINDS: dict[str, Maker] = {
    MOCO_18: resnet("resnet18"),
    "ResNet18_Weights.SENTINEL2_RGB_MOCO": resnet("resnet18"),
    "ResNet18_Weights.SENTINEL2_RGB_SECO": resnet("resnet18"),
    "ResNet50_Weights.SENTINEL2_ALL_SOFTCON": resnet("resnet50"),
    "ResNet50_Weights.SENTINEL2_SI_MS_SATLAS": resnet("resnet50"),
    "Swin_V2_T_Weights.SENTINEL2_SI_RGB_SATLAS": lambda _: models.get_model("swin_v2_t"),
    "ViTSmall16_Weights.SENTINEL2_ALL_MOCO": resnet("vit_small_patch16_224"),
}
"""Members of different kinds, and how their models are built with random weights."""


def built(member: str) -> Any:
    """A model with random weights for the channels of a member."""
    torch.manual_seed(0)
    model = KINDS[member](models.get_weight(member).meta["in_chans"])
    with torch.no_grad():  # blocks that begin as nothing would hide what reaches them
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    return model.eval()


def saved(model: Any, folder: Path) -> Path:
    file = folder / "weights.pth"
    torch.save(model.state_dict(), file)
    return file


def features(model: Any, batch: Any) -> npt.NDArray[np.float32]:
    """The pooled vector before the head, by hand."""
    with torch.no_grad():
        if hasattr(model, "features"):  # Swin of torchvision: channels last
            found = model.norm(model.features(batch)).mean((1, 2))
        elif hasattr(model, "cls_token"):
            found = model.forward_features(batch)[:, 0]
        else:
            found = model.forward_features(batch).mean((2, 3))
    return np.asarray(found)


@pytest.fixture(scope="module")
def eurosat(eurosat_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of TorchGeo's EuroSAT100, whose training split is one image a class."""
    root = tmp_path_factory.mktemp("eurosat")
    (root / "ds").symlink_to(eurosat_images.parents[4])
    first = [min(folder.glob("*.tif")) for folder in sorted(eurosat_images.iterdir())]
    lines = [file.with_suffix(".jpg").name for file in first]
    (root / "eurosat-100-train.txt").write_text("\n".join(lines))
    return root


def samples(root: Path, bands: tuple[str, ...]) -> Any:
    """Digital numbers (n, bands, 64, 64) as TorchGeo gives them."""
    data = torchgeo_datasets.EuroSAT100(root, "train", bands=bands)
    return torch.stack([data[number]["image"] for number in range(len(data))[::4]])


def files(root: Path) -> npt.NDArray[Any]:
    """The same images, as their files hold them (n, 13, 64, 64)."""
    data = torchgeo_datasets.EuroSAT100(root, "train")
    read = []
    for path, _ in data.samples[::4]:
        with rasterio.open(path) as file:
            read.append(file.read())
    return np.stack(read)


@pytest.mark.parametrize("member", KINDS)
def test_vectors_are_those_of_torchgeo_s_own_pipeline(
    member: str, eurosat: Path, tmp_path: Path
) -> None:
    weights, model = models.get_weight(member), built(member)
    encoder = open_torchgeo(member, IMAGES, saved(model, tmp_path), "cpu")
    channels = match(IMAGES, encoder.needs, member)
    taken = np.stack([channels.take(image) for image in files(eurosat)])
    before = taken.copy()
    vectors = encoder.encode(taken)
    np.testing.assert_array_equal(taken, before)

    by_name = samples(eurosat, named_bands(weights.meta["bands"]))
    # The digital number that is 255 in SeCo's bytes, and in ESA's true-colour images of L1C.
    for corpus, white in {"SECO": 10_000, "SATLAS": 3558}.items():
        if member.endswith(corpus):
            rgb = torch.clamp(by_name[:, :3] * 255 / white, 0, 255)
            by_name[:, :3] = torch.round(rgb)
    expected = features(model, weights.transforms(by_name))
    assert vectors.shape == expected.shape
    assert vectors.std(axis=0).max() > 1e-3  # images differ, so would bands in another order
    np.testing.assert_allclose(vectors, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("member", [MOCO_18, "ResNet50_Weights.SENTINEL2_SI_MS_SATLAS"])
def test_each_band_arrives_at_the_channel_that_is_named_after_it(
    member: str, tmp_path: Path
) -> None:
    names = named_bands(models.get_weight(member).meta["bands"])
    encoder = open_torchgeo(member, IMAGES, saved(built(member), tmp_path), "cpu")
    number = {band: 100 * (place + 1) for place, band in enumerate(EUROSAT)}
    image = np.stack([np.full((256, 256), number[band], np.uint16) for band in EUROSAT])
    arrived = []

    def watch(module: Any, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, torch.nn.Conv2d) and not arrived:
            arrived.append(inputs[0][0].numpy())

    handle = torch.nn.modules.module.register_module_forward_pre_hook(watch)
    try:
        encoder.encode(match(IMAGES, encoder.needs, member).take(image)[None])
    finally:
        handle.remove()
    for channel, (band, unit) in enumerate(zip(names, encoder.needs.units, strict=True)):
        scaled = number[band] / 10_000
        if unit == "uint8":
            scaled = np.rint(number[band] * 255 / 3558) / 255
        elif member != MOCO_18:
            scaled = number[band] / 8160
        np.testing.assert_allclose(arrived[0][channel], scaled, rtol=1e-6)


DN, BYTES, MIXED = "DN", "uint8", "3 uint8, 6 DN"

UNITS = {
    "EarthLoc_Weights": {BYTES: "SENTINEL2_RESNET50"},
    "ResNet18_Weights": {
        DN: "SENTINEL2_ALL_MOCO SENTINEL2_RGB_MOCO",
        BYTES: "SENTINEL2_RGB_SECO",
    },
    "ResNet50_Weights": {
        DN: "SENTINEL2_ALL_CLOSP SENTINEL2_ALL_DECUR SENTINEL2_ALL_DINO SENTINEL2_ALL_GEOCLOSP "
        "SENTINEL2_ALL_MOCO SENTINEL2_ALL_SECO_ECO SENTINEL2_ALL_SOFTCON SENTINEL2_RGB_MOCO",
        BYTES: "SENTINEL2_MI_RGB_SATLAS SENTINEL2_RGB_SECO SENTINEL2_SI_RGB_SATLAS",
        MIXED: "SENTINEL2_MI_MS_SATLAS SENTINEL2_SI_MS_SATLAS",
    },
    **{
        enum: {
            BYTES: "SENTINEL2_MI_RGB_SATLAS SENTINEL2_SI_RGB_SATLAS",
            MIXED: "SENTINEL2_MI_MS_SATLAS SENTINEL2_SI_MS_SATLAS",
        }
        for enum in ("ResNet152_Weights", "Swin_V2_B_Weights", "Swin_V2_T_Weights")
    },
    "ViTBase14_DINOv2_Weights": {DN: "SENTINEL2_ALL_SOFTCON"},
    "ViTBase16_Weights": {DN: "SENTINEL2_ALL_FGMAE SENTINEL2_ALL_MAE"},
    "ViTHuge14_Weights": {DN: "SENTINEL2_ALL_FGMAE SENTINEL2_ALL_MAE"},
    "ViTLarge16_Weights": {DN: "SENTINEL2_ALL_CLOSP SENTINEL2_ALL_FGMAE SENTINEL2_ALL_MAE"},
    "ViTSmall14_DINOv2_Weights": {DN: "SENTINEL2_ALL_SOFTCON"},
    "ViTSmall16_Weights": {
        DN: "SENTINEL2_ALL_CLOSP SENTINEL2_ALL_DINO SENTINEL2_ALL_FGMAE SENTINEL2_ALL_MAE "
        "SENTINEL2_ALL_MOCO"
    },
}
"""In which unit each member wants its channels, as its transform and its publication say."""

REFUSED = {
    "ResNet50_Weights.SENTINEL2_ALL_NDVI_SECO_ECO": "NDVI",
    "Tessera_Weights.TESSERA_SENTINEL2_ENCODER": "S2_DOY",
    "Unet_Weights.": "classes a pixel",
}
"""Words of why members of Sentinel-2 are no encoders of an image, by how their names begin."""


def test_every_member_of_sentinel_2_wants_the_units_of_the_table_or_says_why_not() -> None:
    expected = {
        f"{enum}.{name}": unit
        for enum, members in UNITS.items()
        for unit, names in members.items()
        for name in names.split()
    }
    found = {}
    for listed in list_torchgeo(None):
        member = listed.name.removeprefix("torchgeo:")
        if "SENTINEL2" not in member:
            assert listed.fault, f"{member} runs"
        elif listed.fault:
            assert any(
                member.startswith(key) and words in listed.fault for key, words in REFUSED.items()
            ), f"{member}: {listed.fault}"
        else:
            units = list(open_needs(member).units)
            kinds = {unit: units.count(unit) for unit in units}
            found[member] = (
                units[0] if len(kinds) == 1 else ", ".join(f"{n} {u}" for u, n in kinds.items())
            )
    assert found == expected


def open_needs(member: str) -> Any:
    from hfaef.encoders.torchgeo import _needs

    return _needs(models.get_weight(member))


def test_every_model_that_the_list_says_runs_gives_a_vector_an_image() -> None:
    """Without weights, on the device that computes shapes alone; one member a model."""
    from hfaef.encoders.checkpoint import Weights, cut_head
    from hfaef.encoders.torchgeo import _built, _members

    runs = {one.name for one in list_torchgeo(None) if not one.fault}
    entries = {kind: entry for kind, entry in _members() if f"torchgeo:{entry}" in runs}
    assert len(entries) >= 11
    for kind, entry in entries.items():
        channels = len(entry.meta["bands"])
        with torch.device("meta"):
            if kind == "earthloc":
                sizes = {"image_size": 320, "desc_dim": 4096, "pretrained": False}
                tensors = dict(models.EarthLoc(**sizes).state_dict())
            elif kind.startswith("swin"):
                tensors = dict(models.get_model(kind).state_dict())
                size = list(tensors["features.0.0.weight"].shape)
                tensors["features.0.0.weight"] = torch.empty(size[0], channels, *size[2:])
            else:
                extra = {"img_size": 224} if "img_size" in entry.meta else {}
                tensors = models.get_model(kind, in_chans=channels, **extra).state_dict()
            model, notes = _built(kind, entry, Weights(Path("w.pth"), dict(tensors), ""), kind)
            assert not notes
            cut_head(model)
            vectors = model.eval()(entry.transforms(torch.empty(2, channels, 64, 64)))
        assert vectors.ndim == 2, kind
        assert vectors.shape[0] == 2
        assert vectors.shape[1] in (384, 512, 768, 1024, 1280, 2048, 4096)


def test_the_list_says_what_does_not_fit_the_images() -> None:
    colour = Images(("B04", "B03", "B02"), "uint8")
    faults = {listed.name: listed.fault for listed in list_torchgeo(colour)}
    assert "B01" in faults[f"torchgeo:{MOCO_18}"]
    assert "uint8" in faults["torchgeo:ResNet18_Weights.SENTINEL2_RGB_MOCO"]
    assert not faults["torchgeo:Swin_V2_T_Weights.SENTINEL2_SI_RGB_SATLAS"]
    assert "B10" in faults["torchgeo:Swin_V2_B_Weights.LANDSAT_SI_SATLAS"]
    assert not {fault for fault in faults.values() if "\n" in fault}


def test_a_unit_that_a_transform_leaves_open_is_not_guessed() -> None:
    with pytest.raises(ValueError, match=r"divides by 0\.229"):
        channel_units([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    # Deviations of a dark band are small beside those of the others.
    assert channel_units([1612.9, 22.0], [791.0, 47.5]) == ("DN", "DN")


def test_seco_s_transform_is_still_the_one_that_its_note_describes() -> None:
    """The note goes when TorchGeo mends it."""
    weights = models.get_weight("ResNet18_Weights.SENTINEL2_RGB_SECO")
    red = torch.full((1, 3, 8, 8), 129.0)
    assert "255 times" in CORPORA["SeCo Dataset"].note
    as_trained = ((129 - 0) / (129 - 0) - 0.485) / 0.229
    assert weights.transforms(red)[0, 0, 0, 0] > 100 * as_trained


def test_weights_of_a_file_are_told_by_their_hash_and_carry_no_licence(tmp_path: Path) -> None:
    file = saved(built(MOCO_18), tmp_path)
    told = open_torchgeo(MOCO_18, IMAGES, file, "cpu").provenance
    assert told.weights_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (told.model, told.address, told.license) == (f"torchgeo:{MOCO_18}", "", "")
    assert "resized to 256 px, bilinear; middle 224 px" in told.transform
    assert told.transform.endswith("over 10000")


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("ResNet18_Weights.SENTINEL2_RGB_SECO", "255 times as large"),
        ("ResNet50_Weights.SENTINEL2_SI_MS_SATLAS", "8160 are kept"),
        ("Swin_V2_T_Weights.SENTINEL2_SI_RGB_SATLAS", ""),
    ],
)
def test_what_a_corpus_did_otherwise_is_noted_where_it_matters(
    member: str, words: str, tmp_path: Path
) -> None:
    notes = open_torchgeo(member, IMAGES, saved(built(member), tmp_path), "cpu").provenance.notes
    assert len(notes) == bool(words)
    assert words in "".join(notes)


def test_a_head_may_be_missing_and_is_named(tmp_path: Path) -> None:
    model = built(MOCO_18)
    whole = open_torchgeo(MOCO_18, IMAGES, saved(model, tmp_path), "cpu")
    state = {key: value for key, value in model.state_dict().items() if "fc" not in key}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "bare.pt")
    bare = open_torchgeo(MOCO_18, IMAGES, tmp_path / "bare.pt", "cpu")
    assert bare.provenance.notes == (
        "fc.weight fc.bias of the model are not in the file of weights",
    )
    images = np.random.default_rng(0).integers(0, 3000, (2, 13, 64, 64)).astype(np.float32)
    np.testing.assert_array_equal(bare.encode(images), whole.encode(images))


def test_weights_of_another_model_are_refused_with_counts(tmp_path: Path) -> None:
    state = {f"net.{key}": tensor for key, tensor in built(MOCO_18).state_dict().items()}
    torch.save(state, tmp_path / "net.pth")
    words = r"122 are missing, such as conv1\.weight; 122 are left over, such as net\.conv1\.weight"
    with pytest.raises(InputError, match=words):
        open_torchgeo(MOCO_18, IMAGES, tmp_path / "net.pth", "cpu")
    torch.save(models.get_model("resnet18").state_dict(), tmp_path / "rgb.pth")
    with pytest.raises(InputError, match=r"1 tensors have another shape, such as conv1\.weight"):
        open_torchgeo(MOCO_18, IMAGES, tmp_path / "rgb.pth", "cpu")


def test_weights_that_are_not_here_are_told_with_their_file_and_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(HubError, match=str(tmp_path / "hub" / "checkpoints")) as refusal:
        open_torchgeo(MOCO_18, IMAGES, None, "cpu")
    url = models.get_weight(MOCO_18).url
    assert refusal.value.hint.startswith(f"put {url} there")
    assert "--weights" in refusal.value.hint
    assert not list((tmp_path / "hub" / "checkpoints").iterdir())


def test_weights_in_torchgeo_s_cache_are_taken_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = models.get_weight(MOCO_18).url
    cached = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    cached.parent.mkdir(parents=True)
    saved(built(MOCO_18), tmp_path).rename(cached)
    told = open_torchgeo(MOCO_18, IMAGES, None, "cpu").provenance
    assert told.address == url
    assert told.weights_sha256 == hashlib.sha256(cached.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (
            "ResNet18_Weights.SENTINEL2_ALL_MOKO",
            "did you mean `ResNet18_Weights.SENTINEL2_ALL_MOCO`",
        ),
        ("Unet_Weights.SENTINEL2_2CLASS_FTW", "predicts 2 classes a pixel"),
        ("ResNet50_Weights.SENTINEL1_ALL_MOCO", "VV VH"),
        ("DOFABase16_Weights.DOFA_MAE", "name no bands"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(member: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_torchgeo(member, IMAGES, None, "cpu")


def test_images_that_would_be_warped_are_refused(tmp_path: Path) -> None:
    encoder = open_torchgeo(MOCO_18, IMAGES, saved(built(MOCO_18), tmp_path), "cpu")
    with pytest.raises(InputError, match=r"64 x 80 px: .*warp"):
        encoder.encode(np.zeros((1, 13, 64, 80), np.float32))
