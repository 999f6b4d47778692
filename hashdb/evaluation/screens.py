"""Edits of a frame that are usual for videos: a smaller size, an upright screen, a picture in picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from hashdb.evaluation import edits
from hashdb.evaluation.edits import Scene


def to_height(scene: Scene, *, pixels: int) -> Image.Image:
    """The picture at most that high."""
    return edits.scaled(scene, share=min(1.0, pixels / scene.picture.height))


def upright_on_its_blur(scene: Scene) -> Image.Image:
    """In the middle of an upright frame, 9:16, on a ground of the picture itself, enlarged and blurred."""
    picture = scene.picture
    size = (picture.width, round(picture.width * 16 / 9))
    ground = ImageOps.fit(picture, size).filter(ImageFilter.GaussianBlur(picture.width / 25))
    ground.paste(picture, (0, (size[1] - picture.height) // 2))
    return ground


def in_a_corner(scene: Scene, *, share: float) -> Image.Image:
    """In a corner of the other picture, that share of its width wide: picture in picture."""
    ground = scene.beside.copy()
    width = ground.width * share
    picture = edits.resized(scene.picture, width, width * scene.picture.height / scene.picture.width)
    margin = round(edits.shorter_side(ground) * 0.04)
    left = scene.random.choice((margin, ground.width - picture.width - margin))
    top = scene.random.choice((margin, ground.height - picture.height - margin))
    ground.paste(picture, (left, top))
    return ground


def filmed_from_a_screen(scene: Scene) -> Image.Image:
    """As a camera sees it on a screen, slightly from the side: its edge, duller colours, blur, stripes and noise."""
    width, height = scene.picture.size
    screen = ImageOps.expand(scene.picture, round(edits.shorter_side(scene.picture) * 0.04), (18, 18, 20))
    x, y = (0.05 * scene.random.uniform(0.4, 1) for _ in range(2))
    # Corners of the part that is seen: upper left, lower left, lower right, upper right.
    corners = (
        0,
        0,
        0,
        screen.height,
        screen.width * (1 + x),
        screen.height * (1 + y),
        screen.width,
        -screen.height * y,
    )
    seen = screen.transform((width, height), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    dull = ImageEnhance.Contrast(seen.filter(ImageFilter.GaussianBlur(width / 500))).enhance(0.8)
    stripes = 1 + 0.04 * np.sin(np.arange(height) * scene.random.uniform(1.3, 2.2))
    noise = np.random.default_rng(scene.random.getrandbits(64)).normal(0, 4, (height, width, 1))
    samples = np.asarray(dull, np.float32) * stripes[:, None, None] + noise
    return Image.fromarray(np.clip(samples, 0, 255).astype(np.uint8))
