"""TAU Urban Acoustic Scenes as released: 2019, 2020 Mobile, 2022 Mobile, and the DCASE 2024 and 2025 splits.

A. Mesaros, T. Heittola, T. Virtanen, "A multi-device dataset for urban acoustic scene classification",
DCASE 2018; T. Heittola, A. Mesaros, T. Virtanen, "Acoustic scene classification in DCASE 2020 Challenge",
DCASE 2020.  Facts and where they are from:

- Layout, file names, sizes and md5 of the Zenodo records 2589280, 3819968 and 6337421: dcase_util 0.2.20's
  datasets/tut.py; the md5 of 2022's audio agree with soundata's.
- Names SCENE-CITY-LOCATION-SEGMENT[-PART]-DEVICE.wav (PART, the second within the ten, since 2022), counts of
  clips per fold and label, and that a location lies in one subset: the releases' README, as soundata quotes
  it; the lists of 2019, which were at hand, agree in all three.  2020 has a tenth of 2022's: the same
  segments, not yet cut.
- evaluation_setup/fold1_train.csv and fold1_evaluate.csv, tab-separated, columns filename and scene_label.
  What they do not name (devices s4 to s6 of training locations) is in neither fold and is left out.
- splitN.csv and test.csv (column filename): the release "files" of CPJKU/dcase2024_task1_baseline, which
  DCASE 2025 uses as well.  No checksum is published for them.

Fold 1 is the training part, fold 2 the test part.  A group is a location of a scene.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mcu_asc.audio.release import Expected, Remote, find_home, read_table, zenodo
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Clip

LABELS = (
    "airport",
    "bus",
    "metro",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "tram",
)
SPLITS = {"train": 1, "test": 2}
PARTS = {2019: 5, 2020: 5, 2022: 6}  # of a file's name, between the dashes
NAMES = {
    2019: "TAU-urban-acoustic-scenes-2019-development",
    2020: "TAU-urban-acoustic-scenes-2020-mobile-development",
    2022: "TAU-urban-acoustic-scenes-2022-mobile-development",
}
OFFICIAL = ("evaluation_setup/fold1_train.csv", "evaluation_setup/fold1_evaluate.csv")
SHARES = (5, 10, 25, 50, 100)  # percent of the training part in DCASE 2024
SPLIT_URL = "https://github.com/CPJKU/dcase2024_task1_baseline/releases/download/files/"

FILES_2019 = (
    ("meta.zip", 156_863, "09782f2097e4735687af73c44919329c"),
    ("audio.1.zip", 1_657_550_587, "aca4ebfd9ed03d5f747d6ba8c24bc728"),
    ("audio.2.zip", 1_666_219_450, "c4f170408ce77c8c70c532bf268d7be0"),
    ("audio.3.zip", 1_817_901_591, "c7214a07211f10f3250290d05e72c37e"),
    ("audio.4.zip", 1_821_710_642, "a6a62110f6699cf4432072acb1dffda6"),
    ("audio.5.zip", 1_803_118_466, "091a0b6d3c84b8e60e46940aa7d4a8a0"),
    ("audio.6.zip", 1_789_566_029, "114f4ca13e074391b98a1cfd8140de65"),
    ("audio.7.zip", 1_747_953_866, "5951dd2968f7a514e2afbe279c4f060d"),
    ("audio.8.zip", 1_728_724_513, "b0b63dc95b327e1509857c8d8a663cc3"),
    ("audio.9.zip", 1_667_106_209, "3c32a693a6b111ffb957be3c1dd22e9b"),
    ("audio.10.zip", 1_632_636_175, "0ffbf60006da520cc761fb74c878b98b"),
    ("audio.11.zip", 1_671_793_546, "599055d93b4c11057c29be2df54538d4"),
    ("audio.12.zip", 1_672_592_150, "98b8d162ff3665695c4c910e6c372cc8"),
    ("audio.13.zip", 1_673_481_614, "a356c08b1a5a21d433eba37ef87587f4"),
    ("audio.14.zip", 1_666_137_450, "f8969771e7faf7dd471d1cf78b0cf011"),
    ("audio.15.zip", 1_675_127_004, "4758c4b0fb7484faa632266e78850820"),
    ("audio.16.zip", 1_648_240_966, "a18acad9ede8ea76574216feb887f0bc"),
    ("audio.17.zip", 1_698_414_214, "1af7703484632f340da5c33662dc9632"),
    ("audio.18.zip", 1_731_093_704, "b67402bf3e08f4da394a7c18756c0fd2"),
    ("audio.19.zip", 1_745_153_640, "035db315f19106eb848b6f9b32bcc47c"),
    ("audio.20.zip", 1_774_038_704, "9cb28c74911bf8a3eadcf53f50a5b5d6"),
    ("audio.21.zip", 1_333_808_800, "0e44ed85c88ec036a9725b4dd1dfaea0"),
)
FILES_2020 = (
    ("meta.zip", 214_159, "6eae9db553ce48e4ea246e34e50a3cf5"),
    ("audio.1.zip", 1_726_039_031, "b1e85b8a908d3d6a6ab73268f385d5c8"),
    ("audio.2.zip", 1_782_268_370, "4310a13cc2943d6ce3f70eba7ba4c784"),
    ("audio.3.zip", 1_870_468_865, "ed38956c4246abb56190c1e9b602b7b8"),
    ("audio.4.zip", 1_879_413_176, "97ab8560056b6816808dedc044dcc023"),
    ("audio.5.zip", 1_823_936_584, "b50f5e0bfed33cd8e52cb3e7f815c6cb"),
    ("audio.6.zip", 1_827_246_144, "fbf856a3a86fff7520549c899dc94372"),
    ("audio.7.zip", 1_728_630_243, "0dbffe7b6e45564da649378723284062"),
    ("audio.8.zip", 1_748_646_043, "bb6f77832bf0bd9f786f965beb251b2e"),
    ("audio.9.zip", 1_780_487_215, "a65596a5372eab10c78e08a0de797c9e"),
    ("audio.10.zip", 1_726_068_853, "2ad595819ffa1d56d2de4c7ed43205a6"),
    ("audio.11.zip", 1_744_480_272, "0ad29f7040a4e6a22cfd639b3a6738e5"),
    ("audio.12.zip", 1_738_707_195, "e5f4400c6b9697295fab4cf507155a2f"),
    ("audio.13.zip", 1_835_797_785, "8855ab9f9896422746ab4c5d89d8da2f"),
    ("audio.14.zip", 1_846_390_881, "092ad744452cd3e7de78f988a3d13020"),
    ("audio.15.zip", 1_869_032_508, "4b5eb85f6592aebf846088d9df76b420"),
    ("audio.16.zip", 436_971_777, "2e0a89723e58a3836be019e6996ae460"),
)
FILES_2022 = (
    ("meta.zip", 1_538_781, "419b6ff6570f1030730352dc80cd8d15"),
    ("audio.1.zip", 1_736_050_960, "8be14bdbd844481dce059ab31fbd2239"),
    ("audio.2.zip", 1_791_821_989, "e821abda49b069248bb75eab39df7575"),
    ("audio.3.zip", 1_878_561_499, "9c7897f78bb42ca0008936daddf3f8f3"),
    ("audio.4.zip", 1_887_825_128, "53ec3e37c0fc0be75f53c5abbc5300b8"),
    ("audio.5.zip", 1_832_871_840, "528422c33c5d10263203d2c61cb1f3be"),
    ("audio.6.zip", 1_836_165_296, "4759a9465c903e13e57d5e82e791fc28"),
    ("audio.7.zip", 1_737_838_582, "6d545fc83a55a17856a9ccc1ac9aff6b"),
    ("audio.8.zip", 1_758_317_867, "3a2916a9b5d3f43cc7a22a62b180b0d9"),
    ("audio.9.zip", 1_790_044_829, "071f664c86639ad730f7be4e3c39d886"),
    ("audio.10.zip", 1_736_836_871, "e0839d019e9b77ecbcbb0eff85965530"),
    ("audio.11.zip", 1_754_618_148, "fc60f1c83726be3963ae14fbcb95eeb4"),
    ("audio.12.zip", 1_748_795_940, "02246547f86c0a814dc63ec65d7033bb"),
    ("audio.13.zip", 1_844_234_922, "88ae9ef884665140d1572d8061725e00"),
    ("audio.14.zip", 1_854_884_822, "c3f400d74ae90e5190dc518cde43de47"),
    ("audio.15.zip", 1_877_789_093, "85594c6fe4f91c10aa2a410f748103b8"),
    ("audio.16.zip", 435_379_083, "6e2df8438c69f6789414aeba8cbad9d8"),
)
REMOTES = {
    2019: zenodo(2589280, FILES_2019, NAMES[2019] + "."),
    2020: zenodo(3819968, FILES_2020, NAMES[2020] + "."),
    2022: zenodo(6337421, FILES_2022, NAMES[2022] + "."),
}

# Clips of each label, in the order of LABELS: training part, test part.
_TRAIN: dict[int, tuple[int, ...]] = {
    2019: (911, 928, 902, 897, 946, 945, 896, 924, 942, 894),
    2022: (13930, 14000, 13820, 13800, 14290, 14270, 13730, 13860, 14130, 13790),
}
_TEST: dict[int, tuple[int, ...]] = {
    2019: (421, 415, 433, 435, 386, 387, 441, 429, 402, 436),
    2022: (2960, 2970, 2970, 2970, 2970, 2970, 2970, 2970, 2970, 2960),
}
_TRAIN[2020], _TEST[2020] = (tuple(n // 10 for n in counts[2022]) for counts in (_TRAIN, _TEST))
EXPECTED = {
    year: Expected(
        folds={1: sum(_TRAIN[year]), 2: sum(_TEST[year])},
        labels=dict(zip(LABELS, map(sum, zip(_TRAIN[year], _TEST[year], strict=True)), strict=True)),
    )
    for year in NAMES
}


def split_remotes(share: int) -> tuple[Remote, ...]:
    """The audio of 2022 and the two lists of a DCASE 2024 split."""
    lists = (f"split{share}.csv", "test.csv")
    return REMOTES[2022] + tuple(
        Remote(name, SPLIT_URL + name, into=f"{NAMES[2022]}/split_setup") for name in lists
    )


def load(root: Path, year: int) -> tuple[tuple[str, ...], tuple[Clip, ...]]:
    """Labels and the clips of the official partition: fold 1 train, fold 2 test.

    `root` is the release's folder (audio/, evaluation_setup/) or the one that contains it.  Raises UsageError
    for a missing list or column, and for a file whose name is not of the release or denies its label.
    """
    home = find_home(root, (".", NAMES[year]), OFFICIAL[0])
    return LABELS, tuple(
        clip for fold, name in enumerate(OFFICIAL, 1) for clip in _clips(home, home / name, fold, year)
    )


def load_split(root: Path, share: int) -> tuple[tuple[str, ...], tuple[Clip, ...]]:
    """As `load`, of 2022 with the training part cut down to `share` percent as in DCASE 2024 and 2025.

    The two lists lie beside audio/, or in split_setup/ or evaluation_setup/ there.
    """
    homes = [
        str(Path(home) / folder)
        for home in (".", NAMES[2022])
        for folder in ("split_setup", ".", "evaluation_setup")
    ]
    lists = find_home(root, homes, f"split{share}.csv")
    home = lists if (lists / "audio").is_dir() else lists.parent
    return LABELS, tuple(
        clip
        for fold, name in enumerate((f"split{share}.csv", "test.csv"), 1)
        for clip in _clips(home, lists / name, fold, 2022)
    )


def segments(clips: Iterable[Clip]) -> dict[str, tuple[Clip, ...]]:
    """The ten-second segments that 2022's one-second clips were cut from: name -> its clips in order."""
    found: dict[str, list[tuple[int, Clip]]] = {}
    for clip in clips:
        *front, part, device = clip.id.removesuffix(".wav").split("-")
        found.setdefault("-".join((*front, device)), []).append((int(part), clip))
    return {name: tuple(c for _, c in sorted(parts, key=lambda p: p[0])) for name, parts in found.items()}


def _clips(home: Path, table: Path, fold: int, year: int) -> list[Clip]:
    clips = []
    for row in read_table(table, ("filename",), "\t"):
        name = row["filename"].rpartition("/")[2]
        parts = name.removesuffix(".wav").split("-")
        label = row.get("scene_label") or parts[0]
        if len(parts) != PARTS[year] or parts[0] not in LABELS or label != parts[0]:
            raise UsageError(
                f"{table}: {row['filename']} ({label}) is not named as in the {year} release",
                "use the release that belongs to the data set's name",
            )
        clips.append(
            Clip(
                id=name,
                label=label,
                fold=fold,
                group="-".join(parts[:3]),
                path=home / "audio" / name,
                device=parts[-1],
                city=parts[1],
            )
        )
    return clips
