"""The networks that can be trained, as a table: name -> function that builds it.

Each takes one window of shape (rows, bands, 1), standardised log2 band energies, and gives logits; its width
multiplies the channels of every layer.  A row of STUDENTS is all that a new one takes.  Only operations that
the compiler knows are used.  All of them can be trained quantisation-aware (quantise.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from mcu_asc.learn.counts import Cost, cost
from mcu_asc.learn.students.base import Builder, Shape, channels
from mcu_asc.learn.students.baseline import dcase2022_baseline
from mcu_asc.learn.students.bcresnet import bc_resnet
from mcu_asc.learn.students.cpmobile import cp_mobile
from mcu_asc.learn.students.mobilenet import ds_cnn, mobilenet_v1, mobilenet_v2, mobilenet_v3
from mcu_asc.learn.students.sepnet import tf_sepnet
from mcu_asc.learn.students.stream import causal_ds
from mcu_asc.learn.students.vgg import vgg_asc

__all__ = ["STUDENTS", "Builder", "Cost", "Shape", "channels", "cost"]

STUDENTS: Mapping[str, Builder] = {
    "vgg-asc": vgg_asc,
    "ds-cnn": ds_cnn,
    "dcase2022-baseline": dcase2022_baseline,
    "cp-mobile": cp_mobile,
    "bc-resnet": bc_resnet,
    "tf-sepnet": tf_sepnet,
    "mobilenet-v1": mobilenet_v1,
    "mobilenet-v2": mobilenet_v2,
    "mobilenet-v3": mobilenet_v3,
    "causal-ds": causal_ds,
}
