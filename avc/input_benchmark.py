"""Speed of the inputs: drawing pairs beside bare JPEG decoding, and the spectrogram."""

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from avc import pairs, reading
from avc.encoding import decode_audio
from avc.frames import FrameConfig
from avc.pair_config import PairConfig
from avc.records import clip
from avc.spectrogram import LogSpectrogram, SpectrogramConfig
from crossmodal import benchmark, tfrecord
from crossmodal.benchmark import Comparison
from crossmodal.pipeline import PipelineConfig, open_training
from crossmodal.reading import Records, parsed_blocks

# Groups of clips of one timed turn: so many that those which are read ahead and not used in
# the end hardly count.
GROUPS = 16
# Clips of 1 s that are transformed at once.
CLIPS = 64
# Clips of a batch of pairs.
BATCH = 32


def drain(dataset: tf.data.Dataset) -> Callable[[], None]:
    """A job that takes all of a dataset, whose threads are as many as the machine has cores."""

    def job() -> None:
        for _ in dataset:
            pass

    return job


def pair_batches(
    records: Records, encoding: str, pairs_per_read: int, batch_size: int
) -> tf.data.Dataset:
    """Batches of pairs as training takes them, of GROUPS groups of clips."""
    config, frame_config = PairConfig(pairs_per_read=pairs_per_read), FrameConfig()
    pipeline = PipelineConfig(batch_size, random_access=True, draws_per_read=pairs_per_read)
    batches = open_training(records, pipeline)
    dataset = batches.dataset(
        sample=lambda batch, seed: pairs.combine(batch, config, seed),
        draw=lambda example, seed: pairs.draw(example, config, frame_config, encoding, seed),
    )
    return dataset.take(GROUPS * pairs_per_read)


def bare_decoding(jpegs: list[bytes], size: int, batch_size: int) -> tf.data.Dataset:
    """Random crops decoded from pictures in memory, and nothing else."""

    def decode(jpeg: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(jpeg)[:2]
        chance = tf.random.stateless_uniform([2], tf.stack([seed, 0]))
        corner = tf.cast(chance * tf.cast(shape - size + 1, tf.float32), tf.int32)
        window = tf.concat([corner, [size, size]], 0)
        return tf.io.decode_and_crop_jpeg(jpeg, window, channels=3)

    stream = tf.data.Dataset.from_tensor_slices((jpegs, tf.range(len(jpegs), dtype=tf.int64)))
    stream = stream.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return stream.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def some_frames(records: Records, number: int) -> list[bytes]:
    """Frames of the clips, spread over each clip, as many as asked for."""
    found: list[bytes] = []
    per_clip = -(-number // records.count())
    for block in parsed_blocks(records):
        for row in records.schema.rows(block):
            places = np.linspace(0, len(row["frames"]) - 1, per_clip).astype(int)
            found += [row["frames"][place] for place in places]
    return found[:number]


def compare_pairs(pattern: str, pairs_per_read: tuple[int, ...], rounds: int) -> list[Comparison]:
    """Pairs drawn from FLAC and from PCM records, beside bare decoding of as many frames.

    Args:
      pattern: FLAC records.
      pairs_per_read: several numbers of pairs drawn from a record once it is read.
      rounds: how many times each job is timed.
    """
    _, _, flac = reading.open_clips(pattern, "data_pattern", progress=False)
    path = os.path.join(os.path.dirname(flac.shards[0].path), "pcm16.tfrecord")
    write_pcm(flac, path)
    _, _, pcm = reading.open_clips(path, "data_pattern", progress=False)
    batch = min(BATCH, flac.count())
    number = GROUPS * batch * max(pairs_per_read)
    decoding = "JPEG decoding and cropping"
    frames = some_frames(flac, 1024)
    frames *= -(-number // len(frames))
    jobs = {decoding: drain(bare_decoding(frames[:number], 224, batch))}
    drawn = {decoding: number}
    for each in pairs_per_read:
        for name, records in (("flac", flac), ("pcm16", pcm)):
            job = f"{name}, {each} a read"
            jobs[job] = drain(pair_batches(records, name, each, batch))
            drawn[job] = GROUPS * batch * each
    times = benchmark.alternate(jobs, rounds, "pairs")
    # As if each had made as many pairs: a few slow ones tell as much as many.
    times = {job: seconds * number / drawn[job] for job, seconds in times.items()}
    rows = [
        benchmark.compare_speed("pairs", times, job, decoding, 0.7, number, "pairs")
        for job in jobs
        if job != decoding
    ]
    for name, records in (("FLAC", flac), ("PCM", pcm)):
        sizes = [reading.bytes_per_pair(records, each) / 1e6 for each in pairs_per_read]
        print(f"{name}: " + ", ".join(f"{size:.3g}" for size in sizes) + " MB read a pair")
    return rows


def write_pcm(records: Records, path: str) -> None:
    """The same clips with their sound as 16-bit samples."""
    target = clip("pcm16")

    def payloads():
        for block in parsed_blocks(records):
            for row in records.schema.rows(block):
                samples = decode_audio(row["audio"], "flac")
                yield target.serialize({**row, "audio": samples.tobytes()})

    tfrecord.write_records(path, payloads())


def compare_spectrogram(rounds: int) -> list[Comparison]:
    """Log-spectrograms of batches of 1 s beside librosa's, both from samples to logarithms."""
    librosa = benchmark.import_peer("librosa")
    config = SpectrogramConfig()
    sounds = np.random.default_rng(0).uniform(-0.5, 0.5, (CLIPS, 48_000)).astype(np.float32)
    layer = LogSpectrogram(config)
    transform = tf.function(layer)
    samples = tf.constant(sounds)

    def peer() -> np.ndarray:
        spectrum = librosa.stft(
            sounds, n_fft=config.fft_length, hop_length=config.hop_samples,
            win_length=config.window_samples, center=False,
        )
        return np.log(np.abs(spectrum) + config.epsilon)

    jobs = {"LogSpectrogram": lambda: transform(samples).numpy(), "librosa": peer}
    times = benchmark.alternate(jobs, rounds, "spectrogram")
    return [
        benchmark.compare_speed(
            "log-spectrogram", times, "LogSpectrogram", "librosa", 1.3, CLIPS, "clips"
        )
    ]
