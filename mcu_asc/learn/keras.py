"""The door to TensorFlow, legacy Keras and the model optimisation toolkit: imported once, here, when needed.

The toolkit works with Keras 2 only, so `TF_USE_LEGACY_KERAS` is set before TensorFlow's first import, in
this file and nowhere else.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from mcu_asc.errors import ToolMissing, UsageError

Keras = Any  # TensorFlow has no type hints: its models, layers and optimisers are Any, by this name
INSTALL = "pip install 'mcu-asc[train]'"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what C++ libraries write to the standard error (descriptor 2) off the terminal meanwhile."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


@functools.cache
def tensorflow() -> ModuleType:
    """TensorFlow with Keras 2 inside; ToolMissing when it is not installed."""
    if sys.modules.get("tensorflow") and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        raise UsageError(
            "TensorFlow was imported with Keras 3 before mcu_asc.learn", "set TF_USE_LEGACY_KERAS=1 before it"
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet():
            import tensorflow
    except ImportError as error:
        raise ToolMissing(f"training needs TensorFlow: {error}", INSTALL) from error
    tensorflow.get_logger().setLevel("ERROR")
    module: ModuleType = tensorflow
    return module


@functools.cache
def keras() -> ModuleType:
    """Keras 2 (package tf_keras), the one that `tensorflow().keras` is too."""
    tensorflow()
    try:
        with quiet():
            import tf_keras
    except ImportError as error:
        raise ToolMissing(f"training needs Keras 2: {error}", INSTALL) from error
    module: ModuleType = tf_keras
    return module


@functools.cache
def optimisation() -> ModuleType:
    """tensorflow_model_optimization: quantisation-aware training."""
    keras()
    try:
        import tensorflow_model_optimization
    except ImportError as error:
        raise ToolMissing(f"QAT needs the model optimisation toolkit: {error}", INSTALL) from error
    module: ModuleType = tensorflow_model_optimization
    return module


def converter(model: Keras) -> Any:
    """TensorFlow Lite's converter of a model's inference, one window at a time."""
    tf = tensorflow()
    infer = tf.function(lambda x: model(x, training=False))
    window = tf.TensorSpec([1, *model.input_shape[1:]], tf.float32, name="features")
    # What the converter is given beside the function, it saves with all functions of all its layers, each
    # traced anew: four fifths of the time. Of the model, the function needs no more than its variables.
    variables = tf.Module()
    variables.all = model.variables
    concrete = infer.get_concrete_function(window)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], variables)


def interpreter(content: bytes) -> Any:
    """TensorFlow Lite's interpreter of a .tflite, on one thread, ready to be fed."""
    lite = tensorflow().lite
    with warnings.catch_warnings(), quiet():  # of its move to another package, and of its delegate
        warnings.simplefilter("ignore")
        made = lite.Interpreter(model_content=content, num_threads=1)
        made.allocate_tensors()
    return made


def one_thread() -> None:
    """Work on one core: the efficient setting for nets this small, and sums in one fixed order.

    Without effect when TensorFlow has already worked in this process.
    """
    threading = tensorflow().config.threading
    try:
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass
