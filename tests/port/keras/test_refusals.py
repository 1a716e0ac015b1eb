"""What a Keras model's importer cannot read is refused in one line that names the layer."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bnnjax
from bnnjax.port import load
from tests.damage import reads_or_refuses

h5py = pytest.importorskip("h5py")


def refusal(path, **options):
    """The one-line error for a file."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        bnnjax.load_model(path, **options)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


def set_in(layer, **values):
    """A change of the configuration of a layer."""
    return lambda layers, config: layers[layer]["config"].update(values)


def of_class(layer, kind):
    return lambda layers, config: layers[layer].update(class_name=kind)


def call_with(layer, **keywords):
    """A change of the arguments of a layer's first call."""
    return lambda layers, config: layers[layer]["inbound_nodes"][0][0][3].update(keywords)


def second_input(layers, config):
    second = json.loads(json.dumps(layers["input_1"]).replace("input_1", "input_2"))
    config["config"]["layers"].append(second)


def dangling(layers, config):
    layers["add"]["inbound_nodes"][0][0][0] = "nowhere"


def circle(layers, config):
    layers["conv2d"]["inbound_nodes"][0][0][0] = "add"


CUSTOM = {"module": "mine", "class_name": "SteSine", "config": {}, "registered_name": "SteSine"}
FUNCTION = {"module": "mine", "class_name": "function", "config": "my_act"}
CASES = {
    "python": (
        of_class("p_re_lu", "Lambda"),
        "layer 'p_re_lu' (Lambda): holds Python code, which is not read; replace it",
    ),
    "a class of the user's": (
        of_class("multiply", "ArcFace"),
        "layer 'multiply' (ArcFace): is not supported; docs/from_larq.md lists",
    ),
    "a quantizer of the user's": (
        set_in("quant_conv2d", kernel_quantizer=CUSTOM),
        "layer 'quant_conv2d' (QuantConv2D): its kernel_quantizer 'SteSine' is none of Larq's "
        "quantizers; did its author mean 'SteSign'?",
    ),
    "another in a separable layer": (
        set_in("quant_separable_conv2d", pointwise_quantizer="my_sign"),
        "layer 'quant_separable_conv2d' (QuantSeparableConv2D): its pointwise_quantizer 'my_sign'",
    ),
    "an activation of the user's": (
        set_in("conv2d", activation=FUNCTION),
        "layer 'conv2d' (Conv2D): its activation 'my_act' is none of Keras' or Larq's",
    ),
    "channels first": (
        set_in("quant_depthwise_conv2d", data_format="channels_first"),
        "layer 'quant_depthwise_conv2d' (QuantDepthwiseConv2D): has its channels first",
    ),
    "another padding value": (
        set_in("quant_conv2d", pad_values=0.5),
        "layer 'quant_conv2d' (QuantConv2D): its pad_values are 0.5, need -1, 0 or 1",
    ),
    "an unknown padding": (
        set_in("conv2d", padding="full"),
        "layer 'conv2d' (Conv2D): padding is 'full', needs one of",
    ),
    "groups that do not divide": (
        set_in("quant_conv2d", groups=3),
        "layer 'quant_conv2d' (QuantConv2D) cannot take [1, 12, 12, 16]: 16 channels and 16 "
        "features cannot be split into 3 groups",
    ),
    "an argument that is missing": (
        lambda layers, config: layers["quant_conv2d"]["config"].pop("filters"),
        "layer 'quant_conv2d' (QuantConv2D): the file lacks its 'filters'",
    ),
    "training": (
        call_with("batch_normalization", training=True),
        "layer 'batch_normalization' (BatchNormalization): is called with training=True",
    ),
    "two inputs": (
        second_input,
        "takes 2 inputs ('input_1', 'input_2'), needs a single one, a picture",
    ),
    "no picture": (
        set_in("input_1", batch_input_shape=[None, 128]),
        "takes an input of shape [None, 128], needs a picture [None, height, width, 3 or 1]",
    ),
    "a result of nothing": (dangling, "layer 'add' (Add) takes a result that no layer"),
    "a circle": (circle, "layer 'conv2d' (Conv2D) takes a result that no layer"),
    "no model": (
        lambda layers, config: config.update(config={"name": "x"}, class_name="MyModel"),
        "describes no Sequential or Functional model but a 'MyModel'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_read_is_named(edited, case):
    change, message = CASES[case]
    assert refusal(edited("face", change)).startswith(message)


def test_a_function_that_is_not_supported_is_named(own_model, tmp_path):
    path = own_model("operations").copied(tmp_path)
    text = own_model("operations").path.with_suffix(".json").read_text()
    changed = text.replace('"function": "nn.space_to_depth"', '"function": "image.resize"')
    path.with_suffix(".json").write_text(changed)
    assert "calls tf.image.resize, which is not supported" in refusal(path)


# --- weights -----------------------------------------------------------------------------


@pytest.fixture
def weights(own_model, tmp_path):
    """A function that changes the group of a layer in a copy of a file: layer, function → path."""

    def change(layer, function):
        path = own_model("face").copied(tmp_path)
        with h5py.File(path, "a") as file:
            function(file["model_weights"][layer][layer])
        return path

    return change


def replaced(name, value):
    def change(group):
        del group[name]
        group[name] = value

    return change


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "change", "message"),
    [
        (
            "quant_conv2d",
            replaced("kernel:0", np.zeros((3, 3, 4, 8), np.float32)),
            "quant_conv2d: kernel has shape [3, 3, 4, 8], needs [3, 3, 4, 16]",
        ),
        (
            "quant_conv2d",
            replaced("kernel:0", np.full((3, 3, 4, 16), np.nan, np.float32)),
            "quant_conv2d: kernel holds values that are not finite",
        ),
        (
            "p_re_lu",
            replaced("alpha:0", np.zeros((1, 1, 16), np.int32)),
            "p_re_lu: alpha is int32, needs a float type",
        ),
        (
            "batch_normalization",
            lambda group: group.move("moving_variance:0", "variance"),
            "damaged, truncated or not an HDF5 file",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(weights, layer, change, message):
    assert message in refusal(weights(layer, change))


@pytest.mark.slow
def test_arrays_that_are_missing_or_left_over_are_named(edited):
    path = edited("face", set_in("conv2d", use_bias=True))
    assert "conv2d: bias is missing" in refusal(path)


@pytest.mark.slow
def test_arrays_that_no_layer_needs_are_named(edited):
    path = edited("face", set_in("batch_normalization", center=False))
    assert "batch_normalization: beta is left over" in refusal(path)


# --- files -------------------------------------------------------------------------------


def test_weights_alone_say_what_is_missing(own_model, tmp_path):
    path = own_model("operations").copied(tmp_path)
    message = refusal(path)
    assert "holds weights without the model" in message
    assert "open('operations.json', 'w').write(model.to_json())" in message
    assert "--model" in message


def test_damaged_json_is_refused(own_model, tmp_path):
    path = own_model("operations").copied(tmp_path)
    path.with_suffix(".json").write_text('{"class_name": "Funct')
    assert "JSON is damaged" in refusal(path)


@pytest.mark.parametrize("length", [0, 100, 20_000, -300])
def test_a_truncated_archive_is_refused(own_model, tmp_path, length):
    path = own_model("windows").copied(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert "damaged or not a .keras archive" in refusal(path)


def test_an_archive_without_weights_is_refused(own_model, tmp_path):
    source, path = own_model("windows").path, tmp_path / "own.keras"
    with zipfile.ZipFile(source) as files, zipfile.ZipFile(path, "w") as made:
        for name in ("config.json", "metadata.json"):
            made.writestr(name, files.read(name))
    assert "model.weights.h5" in refusal(path)


@pytest.mark.parametrize("name", ["none.h5", "none.keras"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(ValueError, match=rf"^{tmp_path / name}: no such file$"):
        bnnjax.load_model(tmp_path / name)
    with pytest.raises(ValueError, match=rf"^{tmp_path / name}: no such file$"):
        load.port_file(tmp_path / name)


def test_an_unknown_preprocessing_is_refused(own_model):
    with pytest.raises(ValueError, match="preprocessing is 'larq', needs one of"):
        bnnjax.load_model(own_model("face").path, preprocessing="larq")


def test_only_keras_models_need_no_name(tmp_path):
    (tmp_path / "a.params").write_text("text")
    with pytest.raises(ValueError, match=r"a\.params: only Keras models say what they are"):
        load.port_file(tmp_path / "a.params")


def test_a_network_of_the_registry_has_its_preprocessing(own_model):
    with pytest.raises(ValueError, match="quicknet has its preprocessing"):
        load.port_file(own_model("face").path, model="quicknet", preprocessing="unit")


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_values_of_other_types_are_read_or_refused(own_model, tmp_path, data):
    path = own_model("nested").copied(tmp_path)
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        place = config["config"]
        while isinstance(place, dict | list) and place:
            keys = [*place] if isinstance(place, dict) else range(len(place))
            parent, key = place, data.draw(st.sampled_from(keys))
            place = place[key]
            if data.draw(st.booleans()):
                break
        parent[key] = data.draw(st.sampled_from([None, -1, 2**63, "a", [], {}, [0, [1]], 1e308]))
        file.attrs["model_config"] = json.dumps(config)
    reads_or_refuses(bnnjax.load_model, path, path.read_bytes())


def test_archives_do_not_unpack_to_gigabytes(own_model, tmp_path):
    path = own_model("activations").copied(tmp_path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more", bytes(64 * 2**20))
    assert "more would take 64 MiB" in refusal(path)
