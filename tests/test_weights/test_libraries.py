"""Files that other libraries write, where installed; Keras' are in test_keras_vgg16.py."""

import numpy as np
import pytest

from deeplab_lfov.weights.conversion import TRUNK, input_of
from deeplab_lfov.weights.formats import read_match
from deeplab_lfov.weights.onnx_file import read_onnx
from deeplab_lfov.weights.plain_arrays import read_safetensors

NARROW = [4, 4, "M", 8, 8, "M", 16, 16, 16, "M", 32, 32, 32, "M", 32, 32, 32, "M"]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_torchvision(tmp_path, batch_norm):
    torch, vgg = pytest.importorskip("torch"), pytest.importorskip("torchvision.models.vgg")
    features = vgg.make_layers(NARROW, batch_norm)
    torch.save({f"features.{n}": t for n, t in features.state_dict().items()}, tmp_path / "x")
    match = read_match(tmp_path / "x")
    assert input_of(match.sources, match.layers, "x")[0] == "torchvision"
    weight = features[40 if batch_norm else 28].weight.detach().numpy()
    scale = 1 / np.sqrt(1 + 1e-5) if batch_norm else 1
    np.testing.assert_allclose(match.layers["conv5_3"][0], weight * scale, rtol=1e-6)


def test_timm(tmp_path):
    torch, vgg = pytest.importorskip("torch"), pytest.importorskip("timm.models.vgg")
    torch.save(vgg.VGG(NARROW, mlp_ratio=1 / 16).state_dict(), tmp_path / "x")
    match = read_match(tmp_path / "x")
    assert list(match.layers) == TRUNK and match.left_out[-1] == "head.fc"
    assert input_of(match.sources, match.layers, "x")[0] == "torchvision"


def test_safetensors(tmp_path):
    written = {kind: np.arange(6).astype(kind).reshape(2, 3) for kind in ("f2", "f4", "f8", "i8")}
    pytest.importorskip("safetensors.numpy").save_file(written, tmp_path / "x")
    read = dict(read_safetensors(tmp_path / "x"))
    assert set(read) == set(written)
    assert all(tensor.tolist() == [[0, 1, 2], [3, 4, 5]] for tensor in read.values())


def test_onnx(tmp_path):
    onnx = pytest.importorskip("onnx")
    weight = np.arange(108, dtype="f4").reshape(4, 3, 3, 3)
    image, out = (
        onnx.helper.make_tensor_value_info(name, 1, [1, channels, 9, 9])
        for name, channels in (("x", 3), ("y", 4))
    )
    node = onnx.helper.make_node("Conv", ["x", "a.weight"], ["y"], pads=[1, 1, 1, 1])
    stored = [onnx.numpy_helper.from_array(weight, "a.weight")]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [image], [out], stored))
    onnx.save(model, tmp_path / "x.onnx", save_as_external_data=True, size_threshold=0)
    ((name, values),) = read_onnx(tmp_path / "x.onnx")
    assert name == "a.weight" and (values == weight).all()
