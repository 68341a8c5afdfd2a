import json

import numpy as np
import pytest
from scipy.sparse import csgraph

from avc import ontology
from crossmodal.errors import UserError

# Objects that Sound, appendix A.1.
INSTRUMENTS = """
Accordion; Acoustic guitar; Alto saxophone; Bagpipes; Banjo; Bass (instrument role);
Bass drum; Bass guitar; Bassoon; Bell; Bicycle bell; Bowed string instrument; Brass instrument;
Bugle; Cello; Change ringing (campanology); Chant; Child singing; Chime; Choir; Church bell;
Clarinet; Clavinet; Cornet; Cowbell; Crash cymbal; Cymbal; Dental drill, dentist's drill;
Didgeridoo; Double bass; Drill; Drum; Drum kit; Drum machine; Drum roll; Electric guitar;
Electric piano; Electronic organ; Female singing; Filing (rasp); Flute; French horn; Glockenspiel;
Gong; Guitar; Hammer; Hammond organ; Harmonica; Harp; Harpsichord; Hi-hat; Jackhammer; Jingle bell;
Keyboard (musical); Male singing; Mallet percussion; Mandolin; Mantra; Maraca; Marimba, xylophone;
Mellotron; Musical ensemble; Musical instrument; Oboe; Orchestra; Organ; Percussion; Piano;
Pizzicato; Plucked string instrument; Power tool; Rapping; Rattle (instrument); Rhodes piano;
Rimshot; Sampler; Sanding; Sawing; Saxophone; Scratching (performance technique); Shofar; Singing;
Singing bowl; Sitar; Snare drum; Soprano saxophone; Steel guitar, slide guitar; Steelpan;
String section; Strum; Synthesizer; Synthetic singing; Tabla; Tambourine;
Tapping (guitar technique); Theremin; Timpani; Tools; Trombone; Trumpet; Tubular bells;
Tuning fork; Ukulele; Vibraphone; Violin, fiddle; Wind chime; Wind instrument, woodwind instrument;
Wood block; Yodeling; Zither"""


def write(tmp_path, tree):
    """Writes a file of the ontology's form from children by name; the id of `x` is `/x`."""
    entries = [
        {"id": f"/{name}", "name": name, "child_ids": [f"/{child}" for child in children]}
        for name, children in tree.items()
    ]
    path = tmp_path / "ontology.json"
    path.write_text(json.dumps(entries))
    return str(path)


@pytest.fixture
def small(tmp_path):
    #  a -> b -> d, a -> c -> d: d has two parents; c -> e; f stands alone
    tree = {"a": "bc", "b": "d", "c": "de", "d": "", "e": "", "f": "", "g, h": ""}
    return ontology.read(write(tmp_path, tree))


def test_descendants_hold_the_roots_and_all_below(small):
    assert small.descendants(["a"]) == {"/a", "/b", "/c", "/d", "/e"}
    assert small.descendants(["/b", "f"]) == {"/b", "/d", "/f"}
    assert small.descendants([]) == set()
    with pytest.raises(UserError, match="'x' is neither"):
        small.descendants(["x"])


def test_distances_go_the_shortest_way_up_and_down(small):
    assert small.distances("e") == {"/e": 0, "/c": 1, "/a": 2, "/d": 2, "/b": 3}
    assert small.distances("/f") == {"/f": 0}


def test_roots_in_one_flag_may_hold_commas(small):
    assert small.parse_roots("a,g, h, /b") == ["a", "g, h", "/b"]
    with pytest.raises(UserError, match="'h' is neither"):
        small.parse_roots("a,h")


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '[{"id": 1}]', "[3]"])
def test_other_files_are_one_line(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"other\.json: is not an ontology"):
        ontology.read(str(path))


def test_a_lost_child_is_named(tmp_path):
    with pytest.raises(UserError, match="'/z', a child of '/a'"):
        ontology.read(write(tmp_path, {"a": "z"}))


@pytest.mark.real_data
def test_instruments_are_the_classes_of_the_paper(real_data):
    audioset = ontology.read(str(real_data / "metadata" / "ontology.json"))
    expected = {" ".join(name.split()) for name in INSTRUMENTS.split(";")}
    found = {audioset.names[i] for i in audioset.descendants(ontology.INSTRUMENT_ROOTS)}
    assert len(expected) == 110 and found == expected
    guitar = audioset.distances("Acoustic guitar")
    distances = [guitar[audioset.find(n)] for n in ("Acoustic guitar", "Electric guitar", "Drum")]
    assert distances == [0, 2, 5]


@pytest.mark.real_data
def test_distances_are_those_of_a_graph_library(real_data):
    audioset = ontology.read(str(real_data / "metadata" / "ontology.json"))
    ids = list(audioset.names)
    edges = np.zeros((len(ids), len(ids)))
    for parent, children in audioset.children.items():
        edges[ids.index(parent), [ids.index(child) for child in children]] = 1
    shortest = csgraph.shortest_path(edges, directed=False)
    for identifier in audioset.descendants(ontology.INSTRUMENT_ROOTS):
        reached = audioset.distances(identifier)
        distances = [reached.get(other, np.inf) for other in ids]
        np.testing.assert_array_equal(distances, shortest[ids.index(identifier)])
