"""Small videos, most of them odd, made for tests.

Picture and sound tell the time: bars show the frame's number in binary, and the pitch
rises, so that each moment sounds like no other.
"""

import itertools
import struct
from fractions import Fraction

import av
import numpy as np

BARS = 10
SAMPLES = {"s16": (2**15 - 1, np.int16), "s32": (2**31 - 1, np.int32), "flt": (0, np.float32)}


def picture(number, width=320, height=240):
    """A frame whose bars, from left to right, are the bits of `number`; a light corner."""
    bits = np.array([number >> i & 1 for i in range(BARS)])
    row = np.repeat(40 + 160 * bits, -(-width // BARS))[:width]
    rgb = np.repeat(np.tile(row, (height, 1))[:, :, None], 3, axis=2).astype(np.uint8)
    rgb[: height // 4] = 20
    rgb[: height // 4, : width // 4] = 230
    return rgb


def number_of(rgb):
    """The number that a picture shows, whatever its size."""
    rows = rgb[rgb.shape[0] // 2 : -4].mean(axis=(0, 2))
    edges = np.linspace(0, len(rows), BARS + 1)
    bars = [rows[int(a) + 4 : int(b) - 4].mean() for a, b in itertools.pairwise(edges)]
    return sum(int(bar > 120) << i for i, bar in enumerate(bars))


def sound(seconds):
    """The sound at given times: a rising pitch, 300 Hz at 0 s and 200 Hz more each second."""
    seconds = np.asarray(seconds, np.float64)
    return 0.4 * np.sin(2 * np.pi * (300 * seconds + 100 * seconds**2))


def write(
    path,
    seconds=2.0,
    frames_per_second=25,
    size=(320, 240),
    sample_rate_hz=48000,
    layout="stereo",
    video_codec="libx264",
    audio_codec="aac",
    frame_times=None,
    picture_start=0.0,
    sound_start=0.0,
    sound_seconds=None,
    pixel_format=None,
    pixel_aspect=None,
    rotation=None,
    keyframe_every=12,
    container_format=None,
    options=None,
    video_streams=1,
    paint=picture,
    play=sound,
):
    """Writes a video; None as a codec leaves that stream out.

    `frame_times` are those of frames that do not come regularly. Frame n is `paint(n, width,
    height)`, the sound `play(times)` in all channels. What begins later, begins with what
    belongs there: frame 0 at `picture_start`, the sound of 0 s at `sound_start`.
    """
    with av.open(str(path), "w", format=container_format, options=options or {}) as container:
        container.metadata["title"] = "test"
        packets = []
        for _ in range(video_streams if video_codec else 0):
            stream = container.add_stream(video_codec, rate=Fraction(frames_per_second))
            stream.width, stream.height = size
            full_range = video_codec == "mjpeg"
            stream.pix_fmt = pixel_format or ("yuvj420p" if full_range else "yuv420p")
            stream.codec_context.gop_size = keyframe_every
            stream.codec_context.thread_count = 1
            if video_codec == "libx264":
                stream.options = {"crf": "12", "preset": "veryfast"}
            else:
                stream.bit_rate = 3_000_000
            if pixel_aspect:
                stream.codec_context.sample_aspect_ratio = pixel_aspect
            if frame_times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            if rotation is not None:
                stream.set_display_rotation(rotation)
            packets.append(stream)
        sounding = None
        if audio_codec:
            sounding = container.add_stream(audio_codec, rate=sample_rate_hz, layout=layout)
        container.start_encoding()
        encoded = []
        for stream in packets:
            encoded += _pictures(
                stream, seconds, frames_per_second, frame_times, picture_start, paint
            )
        if sounding:
            encoded += _sounds(sounding, sound_seconds or seconds, sound_start, play)
        for _, packet in sorted(encoded, key=lambda pair: pair[0]):
            container.mux(packet)
    return path


def _pictures(stream, seconds, rate, times, start, paint):
    if times is None:
        times = [Fraction(n) / Fraction(rate) for n in range(round(seconds * rate))]
    base = stream.codec_context.time_base or 1 / Fraction(rate)
    encoded = []
    for number, time in enumerate(times):
        rgb = paint(number, stream.width, stream.height)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = round((Fraction(time) + Fraction(start)) / base), base
        encoded += stream.encode(frame)
    encoded += stream.encode(None)
    return [(float((p.dts or 0) * p.time_base), p) for p in encoded]


def _sounds(stream, seconds, start, play):
    rate, form = stream.rate, stream.format.name
    channels = stream.layout.nb_channels
    wave = play(np.arange(round(seconds * rate)) / rate)
    block = stream.codec_context.frame_size or 1024
    encoded = []
    for first in range(0, len(wave), block):
        part = np.tile(wave[first : first + block], (channels, 1))
        largest, kind = SAMPLES[form.removesuffix("p")]
        part = (part * largest).round().astype(kind) if largest else part.astype(kind)
        if not form.endswith("p"):
            part = part.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(part), format=form, layout=stream.layout.name
        )
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(start * rate)
        encoded += stream.encode(frame)
    encoded += stream.encode(None)
    return [(float((p.dts or 0) * p.time_base), p) for p in encoded]


def no_audio(folder):
    return write(folder / "no_audio.mp4", audio_codec=None)


def no_video(folder):
    return write(folder / "no_video.mp4", video_codec=None)


def empty(folder):
    path = folder / "empty.mp4"
    path.write_bytes(b"")
    return path


def text(folder):
    path = folder / "text.mp4"
    path.write_text("This is not a video.\n" * 100)
    return path


def playlist(folder):
    """A text file that would make a player open another file."""
    other = write(folder / "elsewhere.ts")
    path = folder / "playlist.mp4"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n")
    return path


def cut(folder, suffix, share=0.6, **settings):
    """A video of 4 s of which only the beginning was stored."""
    whole = write(folder / f"whole_for_cut{suffix}", seconds=4.0, **settings).read_bytes()
    path = folder / f"cut{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def cut_mp4(folder):
    """Without its index, which is at the end."""
    return cut(folder, ".mp4")


def cut_streaming_mp4(folder):
    """With its index, which is at the beginning."""
    path = folder / "streaming"
    path.mkdir()
    return cut(path, ".mp4", options={"movflags": "faststart"})


def cut_mkv(folder):
    return cut(folder, ".mkv")


def cut_mpg(folder):
    return cut(folder, ".mpg", video_codec="mpeg1video", audio_codec="mp2")


def damaged_mkv(folder):
    """With 4 kB of garbage in the middle."""
    path = write(folder / "damaged.mkv", seconds=4.0)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4096] = np.random.default_rng(0).bytes(4096)
    path.write_bytes(data)
    return path


def short(folder):
    return write(folder / "short.mp4", seconds=0.32)


def one_frame_a_second(folder):
    return write(folder / "one_fps.mp4", seconds=5.0, frames_per_second=1)


def ten_frames_a_second(folder):
    return write(folder / "ten_fps.mp4", frames_per_second=10)


VARIABLE_TIMES = (0.0, 0.1, 0.13, 0.17, 0.5, 0.51, 0.52, 0.53, 1.3, 1.31, 1.9)


def variable_rate(folder):
    """Frames at VARIABLE_TIMES."""
    return write(folder / "variable.mkv", frame_times=VARIABLE_TIMES)


def six_channels(folder):
    return write(folder / "six_channels.mp4", layout="5.1")


def telephone(folder):
    return write(folder / "8khz.mp4", sample_rate_hz=8000, layout="mono")


def odd_size(folder):
    codecs = {"video_codec": "ffv1", "audio_codec": "pcm_s16le"}
    return write(folder / "odd_size.avi", size=(321, 243), **codecs)


def rotated(folder, degrees=90):
    return write(folder / f"rotated_{degrees}.mp4", rotation=degrees)


def wide_pixels(folder):
    """320 x 240 stored pixels that are shown as 16:9."""
    return write(folder / "wide_pixels.mp4", pixel_aspect=Fraction(4, 3))


def foreign_name(folder):
    return write(folder / "видео 音 ümläut: 100 %d.mp4")


def late_sound(folder):
    """The sound begins 0.5 s after the picture."""
    return write(folder / "late_sound.mkv", sound_start=0.5, audio_codec="flac")


def late_picture(folder):
    """The picture begins 0.48 s after the sound."""
    return write(folder / "late_picture.mkv", picture_start=0.48, audio_codec="flac")


def far_from_zero(folder):
    """Time stamps begin at 5000 s."""
    path = folder / "far.ts"
    return write(path, picture_start=5000.0, sound_start=5000.0, audio_codec="mp2")


def negative_times(folder):
    """Time stamps begin at -3 s."""
    path = folder / "negative.ts"
    options = {"avoid_negative_ts": "disabled", "mpegts_copyts": "1"}
    return write(path, picture_start=-3.0, sound_start=-3.0, audio_codec="mp2", options=options)


def no_duration(folder):
    """A recording whose header was never completed, as of a browser."""
    path = folder / "live.webm"
    settings = {"video_codec": "libvpx", "audio_codec": "libopus", "options": {"live": "1"}}
    return write(path, **settings)


def sound_gap(folder):
    """The sound pauses, and its time stamps say so: 1 s, nothing for 0.5 s, the rest."""
    path = folder / "gap.mkv"
    whole = write(folder / "whole_for_gap.mkv", seconds=3.0, audio_codec="pcm_s16le")
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if not packet.size:
                continue
            time = packet.pts * packet.time_base
            if packet.stream.type == "audio" and 1.0 <= time < 1.5:
                continue
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    return path


def leap(folder):
    """The time stamps of picture and sound leap by 11 hours after 1 s."""
    path = folder / "leap.mkv"
    whole = write(folder / "whole_for_leap.mkv", audio_codec="pcm_s16le", video_codec="mjpeg")
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if not packet.size:
                continue
            if packet.pts * packet.time_base >= 1:
                packet.pts = packet.dts = packet.pts + 40_000_000
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    return path


def boastful(folder):
    """A header that promises 40 s of a video of 2 s."""
    path = write(folder / "boastful.mkv")
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3
    path.write_bytes(data[:at] + struct.pack(">d", 40_000.0) + data[at + 8 :])
    return path


def cover_art(folder):
    """A song with its cover: the only picture is attached."""
    song = write(folder / "song.m4a", video_codec=None)
    still = av.CodecContext.create("mjpeg", "w")
    still.width, still.height, still.pix_fmt = 320, 240, "yuvj420p"
    still.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture(3), format="rgb24").reformat(format="yuvj420p")
    data = b"".join(bytes(p) for p in still.encode(frame))
    path = folder / "cover.flac"
    header = struct.pack(">II", 3, 10) + b"image/jpeg" + struct.pack(">I", 0)
    header += struct.pack(">IIIII", 320, 240, 24, 0, len(data))
    block = header + data
    with av.open(str(song)) as source:
        frames = list(source.decode(audio=0))
    plain = folder / "plain.flac"
    with av.open(str(plain), "w") as target:
        stream = target.add_stream("flac", rate=48000, layout="stereo")
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=48000)
        for part in frames:
            for out in resampler.resample(part):
                target.mux(stream.encode(out))
        target.mux(stream.encode(None))
    flac = plain.read_bytes()
    # After the stream's own header of 42 bytes: a picture, not the last block of metadata.
    size = struct.pack(">I", len(block))[1:]
    path.write_bytes(flac[:42] + b"\x06" + size + block + flac[42:])
    return path


def several_streams(folder):
    """Two videos; the first one, which says 0, is small and marked as the default."""
    path = folder / "several.mkv"
    small = write(folder / "small.mp4", size=(160, 120), paint=lambda n, w, h: picture(0, w, h))
    large = write(folder / "large.mp4", size=(640, 480))
    with (
        av.open(str(small)) as first,
        av.open(str(large)) as second,
        av.open(str(path), "w") as target,
    ):
        sources = [(first, first.streams.video[0])]
        sources += [(second, second.streams.video[0]), (second, second.streams.audio[0])]
        outputs = [target.add_stream_from_template(stream) for _, stream in sources]
        packets = []
        for (container, stream), output in zip(sources, outputs, strict=True):
            container.seek(0)
            for packet in container.demux(stream):
                if packet.dts is not None:
                    packets.append((float(packet.dts * packet.time_base), packet, output))
        for _, packet, output in sorted(packets, key=lambda item: item[0]):
            packet.stream = output
            target.mux(packet)
    return path


def huge_picture(folder, side=60000):
    """Claims pictures of 60,000 x 60,000 in the file's header and in each picture's own."""
    path = write(folder / "huge.avi", seconds=0.4, video_codec="mjpeg", audio_codec="mp3")
    data = bytearray(path.read_bytes())
    strf = data.index(b"strf")
    struct.pack_into("<ii", data, strf + 12, side, side)
    avih = data.index(b"avih")
    struct.pack_into("<ii", data, avih + 8 + 32, side, side)
    at = data.find(b"\xff\xc0\x00\x11")
    while at >= 0:
        struct.pack_into(">HH", data, at + 5, side, side)
        at = data.find(b"\xff\xc0\x00\x11", at + 4)
    path.write_bytes(data)
    return path


def huge_mp4(folder, side=60000):
    """An mp4 that claims the same, of pictures in PNG."""
    path = write(
        folder / "huge.mov", seconds=0.4, video_codec="png", pixel_format="rgb24", size=(320, 240)
    )
    data = bytearray(path.read_bytes())
    entry = data.index(b"png ", data.index(b"stsd"))
    struct.pack_into(">HH", data, entry + 4 + 24, side, side)
    at = data.find(b"IHDR")
    while at >= 0:
        struct.pack_into(">II", data, at + 4, side, side)
        at = data.find(b"IHDR", at + 4)
    path.write_bytes(data)
    return path


def high_rate(folder):
    return write(folder / "high_rate.mp4", frames_per_second=60)


REFUSED = {
    no_audio: "no audio stream",
    no_video: "no video stream",
    empty: "empty file",
    text: "not a video file",
    playlist: "not a video file",
    cut_mp4: "cut off or damaged: it has no readable index",
    cover_art: "no video stream",
    huge_picture: "picture of 60000 x 60000 is larger than 67108864 pixels",
    huge_mp4: "picture of 60000 x 60000 is larger than 67108864 pixels",
}
CUT = (cut_streaming_mp4, cut_mkv, cut_mpg, damaged_mkv)
READ = (
    short,
    one_frame_a_second,
    ten_frames_a_second,
    variable_rate,
    six_channels,
    telephone,
    odd_size,
    rotated,
    wide_pixels,
    foreign_name,
    late_sound,
    late_picture,
    far_from_zero,
    negative_times,
    no_duration,
    sound_gap,
    several_streams,
    high_rate,
)
