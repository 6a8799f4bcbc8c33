"""Released data sets, read from small trees made here in exactly the layout of each release."""

from __future__ import annotations

import csv
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_datasets import check_no_leak

from mcu_asc.audio import audioset, sonyc, tau, tut2017, urbansound8k
from mcu_asc.audio.datasets import DATASETS, Dataset, open_dataset, select
from mcu_asc.errors import UsageError


def write(path: Path, rows: Sequence[Sequence[object]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)


def touch(folder: Path, names: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


# ---- the releases, small ----------------------------------------------------------------------


def make_tau(root: Path, year: int) -> None:
    """Two locations to train, one to test, in each scene; what no list names is there too."""
    home = root / tau.NAMES[year]
    devices = {1: ("a", "b", "s1"), 2: ("a", "c", "s4")} if year > 2019 else {1: "a", 2: "a"}
    cuts = [f"-{i}" for i in range(10)] if year == 2022 else [""]
    lists: dict[int, list[list[str]]] = {1: [], 2: []}
    for i, label in enumerate(tau.LABELS):
        for fold, city, location in ((1, "lyon", 3 * i), (1, "paris", 3 * i + 1), (2, "milan", 3 * i + 2)):
            for segment in (0, 1):
                for device in devices[fold]:
                    for cut in cuts:
                        name = f"{label}-{city}-{location}-{segment}{cut}-{device}.wav"
                        lists[fold].append([f"audio/{name}", label])
    unused = [["audio/airport-lyon-0-0-s6.wav", "airport"]]
    touch(home / "audio", [Path(name).name for name, _ in lists[1] + lists[2] + unused])
    columns = ["filename", "scene_label"]
    write(home / "evaluation_setup" / "fold1_train.csv", [columns, *lists[1]], "\t")
    write(home / "evaluation_setup" / "fold1_evaluate.csv", [columns, *lists[2]], "\t")
    write(home / "evaluation_setup" / "fold1_test.csv", [[row[0]] for row in [columns, *lists[2]]], "\t")
    meta = [[*row, "-".join(row[0].split("-")[1:3]), row[0][:-4].split("-")[-1]]
            for row in lists[1] + lists[2] + unused]  # fmt: skip
    write(home / "meta.csv", [[*columns, "identifier", "source_label"], *meta], "\t")


def make_split(root: Path, share: int) -> None:
    make_tau(root, 2022)
    home = root / tau.NAMES[2022]
    with (home / tau.OFFICIAL[0]).open() as file:
        train = [row for row in csv.reader(file, delimiter="\t") if "-paris-" not in row[0]]
    with (home / tau.OFFICIAL[1]).open() as file:
        test = list(csv.reader(file, delimiter="\t"))
    write(home / "split_setup" / f"split{share}.csv", [[row[0]] for row in train], "\t")
    write(home / "split_setup" / "test.csv", test, "\t")


def make_tut(root: Path) -> None:
    home = root / tut2017.NAME
    files: dict[int, list[tuple[str, str, str]]] = {fold: [] for fold in tut2017.FOLDS}
    for i, label in enumerate(tut2017.LABELS):
        for fold in tut2017.FOLDS:
            recording = f"{label[0]}{4 * i + fold:03d}"
            files[fold] += [(f"audio/{recording}_{s}_{s + 10}.wav", label, recording) for s in (0, 10, 20)]
    everything = [row for fold in tut2017.FOLDS for row in files[fold]]
    touch(home / "audio", [Path(name).name for name, _, _ in everything])
    write(home / "meta.txt", everything, "\t")
    for fold in tut2017.FOLDS:
        train = [row[:2] for other in tut2017.FOLDS if other != fold for row in files[other]]
        write(home / "evaluation_setup" / f"fold{fold}_train.txt", train, "\t")
        write(home / "evaluation_setup" / f"fold{fold}_test.txt", [row[:1] for row in files[fold]], "\t")
        write(home / "evaluation_setup" / f"fold{fold}_evaluate.txt", [row[:2] for row in files[fold]], "\t")


def make_urbansound(root: Path) -> None:
    home = root / "UrbanSound8K"
    rows: list[list[object]] = [
        ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    ]
    for fold in range(1, 11):
        names = []
        for number, label in enumerate(urbansound8k.LABELS):
            recording = 1000 * fold + number
            for piece in (0, 1):
                names.append(f"{recording}-{number}-0-{piece}.wav")
                rows.append([names[-1], recording, 0.5, 4.5, 1, fold, number, label])
        touch(home / "audio" / f"fold{fold}", names)
    write(home / urbansound8k.TABLE, rows)


def annotations(rows: Sequence[tuple[str, int, str, int, Sequence[str]]]) -> list[list[object]]:
    """(split, sensor, file, annotator, tags heard) -> the table, coarse and fine columns, times too."""
    coarse = [f"{n}_{name}_presence" for name, n in sonyc.COARSE.items()]
    fine = [f"{n}_{name}_presence" for name, n in sonyc.FINE.items()]
    head = ["split", "sensor_id", "audio_filename", "annotator_id", "year", "week", "day", "hour", "borough"]
    table: list[list[object]] = [[*head, *fine, "1-X_engine-of-uncertain-size_presence", *coarse]]
    for split, sensor, name, annotator, tags in rows:
        heard = {f"{n}_{tag}_presence" for tag, n in {**sonyc.FINE, **sonyc.COARSE}.items() if tag in tags}
        week = 40 if split == "test" else int(name[3:9]) % 30
        table.append([split, sensor, name, annotator, 2018, week, 1, 12, 1,
                      *(int(c in heard) for c in fine), 0, *(int(c in heard) for c in coarse)])  # fmt: skip
    return table


SONYC = [
    ("train", 1, "01_000001.wav", 11, ("engine", "dog")),
    ("train", 1, "01_000001.wav", 12, ("engine",)),
    ("train", 1, "01_000001.wav", 13, ()),
    ("train", 1, "01_000001.wav", 0, ("music",)),  # the team's, not for training
    ("train", 2, "02_000002.wav", 11, ()),
    ("validate", 3, "03_000003.wav", 11, ("dog",)),
    ("validate", 3, "03_000003.wav", -1, ("dog",)),
    ("validate", 3, "03_000003.wav", 0, ("music", "alert-signal")),
    ("validate", 3, "03_000004.wav", 12, ("dog",)),  # never agreed on
    ("test", 1, "01_000005.wav", 0, ("powered-saw",)),
    ("test", 1, "01_000005.wav", -2, ("dog",)),
]


def make_sonyc(root: Path) -> None:
    home = root / "SONYC-UST"
    write(home / sonyc.TABLE, annotations(SONYC))
    touch(home / "audio", [row[2] for row in SONYC])


def varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def chunk(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def entry(key: str, value: bytes) -> bytes:
    return chunk(1, chunk(1, key.encode()) + chunk(2, value))


def example(video: str, labels: Sequence[int], frames: np.ndarray, packed: bool = True) -> bytes:
    """A tensorflow.SequenceExample of AudioSet, written by hand."""
    if packed:
        numbers = chunk(1, b"".join(map(varint, labels)))
    else:
        numbers = b"".join(varint(1 << 3) + varint(label) for label in labels)
    context = (
        entry("video_id", chunk(1, chunk(1, video.encode())))
        + entry("labels", chunk(3, numbers))
        + entry("start_time_seconds", chunk(2, chunk(1, struct.pack("<f", 30.0))))
        + entry("end_time_seconds", chunk(2, chunk(1, struct.pack("<f", 40.0))))
    )
    features = b"".join(chunk(1, chunk(1, chunk(1, frame.tobytes()))) for frame in frames)
    return chunk(1, context) + chunk(2, entry("audio_embedding", features))


def tfrecord(records: Sequence[bytes]) -> bytes:
    out = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        out += length + struct.pack("<I", audioset.masked_crc(length))
        out += record + struct.pack("<I", audioset.masked_crc(record))
    return out


FRAMES = np.random.default_rng(3).integers(0, 256, (10, 128)).astype(np.uint8)


def make_audioset(root: Path) -> None:
    home = root / audioset.NAME
    names = ["Speech", "Child speech, kid speaking", *(f"Sound {i}" for i in range(2, 527))]
    write(
        home / audioset.TABLE,
        [["index", "mid", "display_name"], *([i, f"/m/{i}", n] for i, n in enumerate(names))],
    )
    for part, fold in audioset.FOLDS.items():
        (home / part).mkdir()
        for shard in ("0a", "_Z"):
            videos = [f"{shard}video{fold}{i}" for i in range(3)]
            content = [
                example(v, [i, 300 + i], FRAMES + fold + i, packed=i != 1) for i, v in enumerate(videos)
            ]
            (home / part / f"{shard}.tfrecord").write_bytes(tfrecord(content))


MAKERS: dict[str, Callable[[Path], None]] = {
    "tau2019": lambda root: make_tau(root, 2019),
    "tau2020": lambda root: make_tau(root, 2020),
    "tau2022": lambda root: make_tau(root, 2022),
    **{f"tau2024-{share}": lambda root, share=share: make_split(root, share) for share in tau.SHARES},
    "tut2017": make_tut,
    "urbansound8k": make_urbansound,
    "sonyc": make_sonyc,
    "sonyc-fine": make_sonyc,
    "audioset": make_audioset,
    "audioset-all": make_audioset,
}
HOMES = {
    **dict.fromkeys(MAKERS, tau.NAMES[2022]),
    "tau2019": tau.NAMES[2019],
    "tau2020": tau.NAMES[2020],
    "tut2017": tut2017.NAME,
    "urbansound8k": "UrbanSound8K",
    "sonyc": "SONYC-UST",
    "sonyc-fine": "SONYC-UST",
    "audioset": audioset.NAME,
    "audioset-all": audioset.NAME,
}


def made(name: str, root: Path) -> Dataset:
    MAKERS[name](root)
    return open_dataset(name, root)


def refused(name: str, root: Path) -> str:
    with pytest.raises(UsageError) as error:
        open_dataset(name, root)
    assert error.value.hint
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- every release ----------------------------------------------------------------------------


def test_every_release_has_a_tree_here() -> None:
    known = {"esc10", "esc50", "scenes", "folders"}  # their trees are in test_datasets.py
    assert set(DATASETS) - known == set(MAKERS)


@pytest.mark.parametrize("name", MAKERS)
def test_no_recording_is_in_two_folds(name: str, tmp_path: Path) -> None:
    ds = made(name, tmp_path)
    if ds.multi_label:
        assert {tag for c in ds.clips for tag in c.tags} <= set(ds.labels)
        assert all(c.label == (c.tags[0] if c.tags else "") for c in ds.clips)
        assert len({c.id for c in ds.clips}) == len(ds.clips)
        groups = {(c.group, c.fold) for c in ds.clips}
        assert len({group for group, _ in groups}) == len(groups)
    else:
        check_no_leak(ds)
    assert open_dataset(name, tmp_path / HOMES[name]).clips == ds.clips  # the release's own folder, too
    for split, fold in ds.splits.items():
        if fold in ds.folds:
            assert {c.fold for c in select(ds, split)} == {fold}


@pytest.mark.parametrize("name", MAKERS)
def test_an_empty_folder_and_a_missing_file_are_named(name: str, tmp_path: Path) -> None:
    assert str(tmp_path) in refused(name, tmp_path)
    ds = made(name, tmp_path)
    path = ds.clips[-1].path
    assert path is not None
    path.unlink()
    if not name.startswith("audioset"):
        assert f"{path}: listed but not there (1 of {len(ds.clips)} clips)" in refused(name, tmp_path)
        assert open_dataset(name, tmp_path, whole=False).clips == ds.clips


def test_a_recording_in_two_folds_is_refused(tmp_path: Path) -> None:
    make_tau(tmp_path, 2019)
    table = tmp_path / tau.NAMES[2019] / tau.OFFICIAL[1]
    table.write_text(table.read_text().replace("-milan-2-", "-lyon-0-"))
    assert "airport-lyon-0 is in folds 1 and 2" in refused("tau2019", tmp_path)
    make_urbansound(tmp_path)
    table = tmp_path / "UrbanSound8K" / urbansound8k.TABLE
    table.write_text(table.read_text().replace(",2000,", ",1000,"))
    assert "recording 1000-0 is in folds 1 and 2" in refused("urbansound8k", tmp_path)
    make_tut(tmp_path)
    path = tmp_path / tut2017.NAME / "evaluation_setup" / "fold2_train.txt"
    path.write_text(path.read_text() + "audio/b002_0_10.wav\tbeach\n")
    assert "recording b002 is also in the fold's test" in refused("tut2017", tmp_path)
    make_sonyc(tmp_path)
    table = tmp_path / "SONYC-UST" / sonyc.TABLE
    write(table, annotations([*SONYC, ("validate", 1, "01_000009.wav", 0, ())]))
    assert "sensor 1 is in folds 1 and 2" in refused("sonyc", tmp_path)


# ---- each release's own -----------------------------------------------------------------------


def test_tau_reads_names_and_leaves_out_what_no_list_names(tmp_path: Path) -> None:
    ds = made("tau2020", tmp_path)
    assert Counter(c.fold for c in ds.clips) == {1: 10 * 2 * 2 * 3, 2: 10 * 2 * 3}
    clip = next(c for c in ds.clips if c.id == "street_traffic-milan-26-1-s4.wav")
    assert (clip.label, clip.city, clip.device, clip.group) == (
        "street_traffic", "milan", "s4", "street_traffic-milan-26")  # fmt: skip
    assert clip.path == tmp_path / tau.NAMES[2020] / "audio" / clip.id
    assert not any(c.device == "s6" for c in ds.clips)
    table = tmp_path / tau.NAMES[2020] / tau.OFFICIAL[0]
    table.write_text(table.read_text().replace("\tbus", "\ttram"))
    assert "(tram) is not named as in the 2020 release" in refused("tau2020", tmp_path)


def test_tau_of_another_year_is_refused(tmp_path: Path) -> None:
    make_tau(tmp_path, 2020)
    (tmp_path / tau.NAMES[2020]).rename(tmp_path / tau.NAMES[2022])
    assert "not named as in the 2022 release" in refused("tau2022", tmp_path)


def test_ten_seconds_are_put_together_again(tmp_path: Path) -> None:
    ds = made("tau2022", tmp_path)
    found = tau.segments(ds.clips)
    assert len(found) == len(ds.clips) // 10
    names = [c.id for c in found["metro-milan-8-1-c"]]
    assert names == [f"metro-milan-8-1-{i}-c.wav" for i in range(10)]


@pytest.mark.parametrize("folder", ["split_setup", ".", "evaluation_setup"])
def test_the_data_efficient_splits_keep_the_test_part(folder: str, tmp_path: Path) -> None:
    make_split(tmp_path, 25)
    home = tmp_path / tau.NAMES[2022]
    for name in ("split25.csv", "test.csv"):
        (home / "split_setup" / name).rename(home / folder / name)
    small, whole = open_dataset("tau2024-25", tmp_path), open_dataset("tau2022", tmp_path)
    assert select(small, "test") == select(whole, "test")
    train = {c.id for c in select(small, "train")}
    assert train == {c.id for c in select(whole, "train") if c.city != "paris"}
    assert open_dataset("tau2024-25", home).clips == small.clips


def test_tau_counts_are_those_stated() -> None:
    assert tau.EXPECTED[2019].folds == {1: 9185, 2: 4185}
    assert tau.EXPECTED[2022].folds == {1: 139_620, 2: 29_680}
    assert tau.EXPECTED[2020].folds == {1: 13_962, 2: 2_968}


def test_tut_folds_are_the_four_tests(tmp_path: Path) -> None:
    ds = made("tut2017", tmp_path)
    assert ds.folds == (1, 2, 3, 4)
    assert Counter(c.fold for c in ds.clips) == dict.fromkeys(ds.folds, 45)
    assert "cafe/restaurant" in ds.labels
    path = tmp_path / tut2017.NAME / "evaluation_setup" / "fold3_evaluate.txt"
    path.write_text("audio/b001_0_10.wav\tbeach\n")
    assert "b001_0_10.wav is tested in folds 1 and 3" in refused("tut2017", tmp_path)
    path.write_text("audio/b001_0_10.wav\tmoon\n")
    assert "fold3_evaluate.txt:1: not a file and its scene" in refused("tut2017", tmp_path)


def test_urbansound_counts_agree_with_each_other() -> None:
    expected = urbansound8k.EXPECTED
    assert sum(expected.folds.values()) == sum(expected.labels.values()) == 8732


def test_sonyc_aggregates_annotators(tmp_path: Path) -> None:
    ds = made("sonyc", tmp_path)
    assert ds.multi_label
    assert {c.id: (c.fold, c.tags) for c in ds.clips} == {
        "01_000001.wav": (1, ("engine", "dog")),
        "02_000002.wav": (1, ()),
        "03_000003.wav": (2, ("alert-signal", "music")),
        "01_000005.wav": (3, ("powered-saw",)),
    }
    _, clips = sonyc.load(tmp_path, "coarse", share=sonyc.MAJORITY)
    assert clips[0].tags == ("engine",)  # two of three
    assert [c.id for c in select(ds, "train", 5)] == ["01_000001.wav", "02_000002.wav"]
    assert len(open_dataset("sonyc-fine", tmp_path).labels) == 23


def test_several_labels_are_refused_where_one_is_needed(tmp_path: Path) -> None:
    from mcu_asc.results.score import score_all

    ds = made("sonyc", tmp_path)
    judge: Any = SimpleNamespace(card=SimpleNamespace(labels=ds.labels))
    nothing: Any = None
    with pytest.raises(UsageError, match="data set sonyc has several labels a clip"):
        score_all(ds.clips, ds, judge, nothing, {}, nothing, nothing)


def test_a_vote_by_hand() -> None:
    votes = np.array([[1, 1, -1, -1, 0], [0, 1, -1, 1, 0], [0, -1, -1, 0, 0]])
    assert sonyc.aggregate(votes).tolist() == [True, True, False, True, False]
    assert sonyc.aggregate(votes, sonyc.MAJORITY).tolist() == [False, True, False, False, False]


def test_sonyc_of_2019_is_read(tmp_path: Path) -> None:
    rows = [row for row in SONYC if row[0] != "test"]
    table = [[v for i, v in enumerate(row) if not 4 <= i <= 8] for row in annotations(rows)]
    write(tmp_path / sonyc.TABLE, table)
    for split, _, name, _, _ in rows:
        touch(tmp_path / split, [name])
    ds = open_dataset("sonyc", tmp_path)
    assert ds.clips[0].path == tmp_path / "train" / "01_000001.wav"
    assert ds.folds == (1, 2)


def test_sonyc_test_hours_are_not_trained_on(tmp_path: Path) -> None:
    before = made("sonyc", tmp_path)
    table = tmp_path / "SONYC-UST" / sonyc.TABLE
    table.write_text(table.read_text().replace(",2018,40,", ",2018,1,"))
    ds = open_dataset("sonyc", tmp_path)
    assert [c.id for c in before.clips if c not in ds.clips] == ["01_000001.wav", "01_000005.wav"]
    assert [c.id for c in select(ds, "test")] == ["01_000005.wav"]  # its group has another name


def test_audioset_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    ds = made("audioset", tmp_path)
    assert (len(ds.labels), ds.folds, len(ds.clips)) == (527, (1, 2), 12)
    assert ds.labels[1] == "Child speech, kid speaking"
    clip = next(c for c in ds.clips if c.id == "_Zvideo21-30")
    assert clip.tags == ("Child speech, kid speaking", "Sound 301")
    assert np.array_equal(audioset.embeddings(clip), FRAMES + 3)
    assert open_dataset("audioset-all", tmp_path).folds == (1, 2, 3)
    assert len({ds.identity(c) for c in ds.clips}) == 4  # fold + i of the six
    with pytest.raises(UsageError, match="no audio"):
        ds.pcm(clip, 16_000)


def test_audioset_damage_is_named(tmp_path: Path) -> None:
    ds = made("audioset", tmp_path)
    clip = ds.clips[1]
    assert clip.path is not None
    whole = bytearray(clip.path.read_bytes())
    clip.path.write_bytes(whole[:-3])
    assert "cut short or damaged" in refused("audioset", tmp_path)
    whole[clip.offset + 1000] ^= 1  # inside the embeddings: found where they are read
    clip.path.write_bytes(whole)
    again = open_dataset("audioset", tmp_path)
    with pytest.raises(UsageError, match=f"the record at {clip.offset} is cut short or damaged"):
        audioset.embeddings(again.clips[1])
    clip.path.write_bytes(tfrecord([b"\x0a\x00"]))
    assert "none of AudioSet's" in refused("audioset", tmp_path)


def test_crc_is_castagnoli() -> None:
    """RFC 3720, B.4: 32 bytes of zeros, of ones, and 0 to 31."""
    for data, crc in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)):
        assert audioset.masked_crc(data) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_record_or_read(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tfrecord"
        path.write_bytes(tfrecord([data]))
        try:
            for offset, record in audioset.records(path, check=True):
                audioset._clip(path, offset, record, 1, ("a",))
        except UsageError:
            pass


def test_dequantised_embeddings_span_what_vggish_states() -> None:
    assert audioset.dequantise(np.array([0, 255], np.uint8)).tolist() == [-2.0, 2.0]
