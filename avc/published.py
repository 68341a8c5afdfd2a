"""What the papers of the audio-visual networks report, each number once and where it stands.

*Objects that Sound* (Arandjelovic and Zisserman 2018), *Grounding Spoken Words in Unlabeled
Video* (Boggust et al. 2019) and *Self-Supervised Audio-Visual Representation Learning for
in-the-wild Videos* (Feng et al. 2020). All are of other data than ours and compare by rank only.
"""

OBJECTS_THAT_SOUND = "Objects that Sound, their data"
# Accuracy of correspondence: sections 3.1 and 3.2; of AVOL-Net section 4.1 says that it does as
# well as AVE-Net; of ResNet18-AVC Table I of Feng et al. By network, and whose data it is of.
ACCURACY = {
    "l3": (0.808, OBJECTS_THAT_SOUND),
    "ave": (0.819, OBJECTS_THAT_SOUND),
    "avol": (0.819, OBJECTS_THAT_SOUND),
    "ave_mf": (0.847, OBJECTS_THAT_SOUND),
    "ave_of": (0.849, OBJECTS_THAT_SOUND),
    "resnet18": (0.798, "Feng et al. 2020, VGGSound"),
}
# What Table I of Feng et al. cites of L3-Net, on Flickr-SoundNet.
L3_ON_FLICKR = 0.78
# Table 1 of Objects that Sound, nDCG@30 in the order of crossmodal.ndcg.DIRECTIONS; None where
# the paper has no number. AVE+OF is of section 3.2.
NDCG_CHANCE = 0.407
NDCG = {
    "L3-Net": (0.567, 0.418, 0.385, 0.653),
    "L3-Net with CCA": (0.578, 0.531, 0.560, 0.649),
    "VGG16-ImageNet": (0.600, None, None, None),
    "VGG16-ImageNet + L3-Audio CCA": (0.493, 0.458, 0.464, 0.618),
    "AVE-Net": (0.604, 0.561, 0.587, 0.665),
    "AVE+OF": (0.608, 0.558, 0.588, 0.665),
}
# Section 4.1, on 500 clips of instruments: the mode of the network's map, and always the centre.
MODE_IN_BOX, CENTRE_IN_BOX = 0.817, 0.572

# Recall@10 in percent, given a picture its sound, and given a sound its picture.
# Table 2 of Boggust et al., of 1000 pairs of YouCook2.
DAVENET_UNSUPERVISED = {"Val 1000": (18.2, 18.3), "Food Val 1000": (20.3, 19.4)}
# Section 6 and Table 3, of 845 labelled pairs, by the first weights of sound and picture.
DAVENET_LABELLED = 845
DAVENET_BEFORE = (21.9, 22.1)
DAVENET_WEAK = {
    ("random", "random"): (13.4, 14.6),
    ("random", "imagenet"): (39.1, 38.1),
    ("unsupervised", "unsupervised"): (27.2, 23.3),
}
