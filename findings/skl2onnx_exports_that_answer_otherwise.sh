#!/usr/bin/env bash
# skl2onnx 1.20.0 exports models of scikit-learn 1.9.1 that then answer otherwise, without an error or a warning.
#
# Left out are: the threshold of TunedThresholdClassifierCV (answers are those at 0.5); where trees send missing
# values (a NaN goes where large numbers go); the indicators of SimpleImputer(add_indicator=True), so that what
# follows is given fewer columns; the clipping of MaxAbsScaler(clip=True). Computed otherwise are:
# Normalizer(norm="max"), by the largest value and not the largest absolute one;
# CalibratedClassifierCV(method="isotonic"), in steps and not along lines; neighbours with weights="distance".
# Printed is the share of values that differ by more than a thousandth, beside two exports that agree.
#
# Needs bash and Python 3.11. Last seen: 2026-11-30.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

cat >compare.py <<'PYTHON'
import sys
import warnings

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import MaxAbsScaler, Normalizer, StandardScaler
from sklearn.svm import LinearSVC

draw = np.random.default_rng(0)
numbers = draw.normal(size=(200, 4)).astype(np.float32)
beside = (numbers + draw.normal(scale=0.1, size=numbers.shape)).astype(np.float32)
lacking = np.where(draw.random(numbers.shape) < 0.2, np.float32("nan"), numbers)
classes = (numbers[:, 0] + numbers[:, 1] > 0).astype(int)
amounts = numbers @ np.float32([1, 2, 0, -1])


def differing(model, rows, method, output=0):
    """Share of the values that differ; 1 where there are fewer of them."""
    options = {"zipmap": False} if method == "predict_proba" else None
    onnx = to_onnx(model, initial_types=[("X", FloatTensorType([None, rows.shape[1]]))], options=options)
    session = onnxruntime.InferenceSession(onnx.SerializeToString(), providers=["CPUExecutionProvider"])
    told = np.asarray(session.run(None, {"X": rows})[output])
    wanted = np.asarray(getattr(model, method)(rows))
    told = told.reshape(wanted.shape) if told.size == wanted.size else told
    if told.shape != wanted.shape:
        print(f"  {wanted.shape} values become {told.shape}")
        return 1.0
    return float((~np.isclose(wanted, told, rtol=1e-3, atol=1e-3)).mean())


tuned = TunedThresholdClassifierCV(LogisticRegression(), scoring="recall")
calibrated = CalibratedClassifierCV(LinearSVC(), method="isotonic")
cases = {
    "LogisticRegression": (LogisticRegression().fit(numbers, classes), numbers, "predict"),
    "StandardScaler": (StandardScaler().fit(numbers), numbers, "transform"),
    "TunedThresholdClassifierCV": (tuned.fit(numbers, classes), numbers, "predict"),
    "RandomForestClassifier, missing values": (
        RandomForestClassifier(10, random_state=0).fit(lacking, classes), lacking, "predict_proba", 1,
    ),
    "SimpleImputer(add_indicator=True)": (
        SimpleImputer(add_indicator=True).fit(lacking), lacking, "transform",
    ),
    "MaxAbsScaler(clip=True), larger values": (
        MaxAbsScaler(clip=True).fit(numbers), numbers * np.float32(3), "transform",
    ),
    "Normalizer(norm='max')": (Normalizer("max").fit(numbers), numbers, "transform"),
    "CalibratedClassifierCV(method='isotonic')": (
        calibrated.fit(numbers, classes), beside, "predict_proba", 1,
    ),
    "KNeighborsRegressor(weights='distance')": (
        KNeighborsRegressor(weights="distance").fit(numbers, amounts), beside, "predict",
    ),
}
warnings.simplefilter("error")  # nothing is said
shares = {}
for name, case in cases.items():
    shares[name] = differing(*case)
    print(f"{name}: {shares[name]:.0%} differ")
agreeing = {"LogisticRegression", "StandardScaler"}
sys.exit(any((share > 0) == (name in agreeing) for name, share in shares.items()))
PYTHON

venv/bin/python compare.py
