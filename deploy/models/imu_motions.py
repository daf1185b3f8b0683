# SPDX-License-Identifier: MIT
"""Synthetic motions of a dog-worn collar IMU: one second at 100 Hz, nine channels, twelve motifs.

A motif is a recipe for three angles (roll, pitch, yaw of the neck) and three accelerations
(forward, left, up) over time.  Everything a sensor would see follows from those by rigid body
kinematics: specific force with gravity, angular rate, the earth's magnetic field.  Amplitudes,
frequencies, phases, the fit of the collar, heading, noise and offsets are drawn anew for each
window.  Frame: x forward, y left, z up; at rest az = +9.81 m/s2.
"""
import numpy as np

MOTIFS = ["sit", "stay", "heel", "come", "down", "shake", "spin", "jump", "bark", "sniff", "walk",
          "play"]
CHANNELS = ["ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"]
STEPS = 100
RATE = 100.0
GRAVITY = 9.81
ACCEL_MAX = 156.9  # +-16 g
GYRO_MAX = 34.9    # +-2000 degrees/s

# Margin on both sides, so that derivatives and filters have no edge inside the window.
PAD = 20
T = (np.arange(STEPS + 2 * PAD) - PAD) / RATE


class Motion:
    """Angles in rad (pitch > 0 is nose up) and accelerations in m/s2, each over T."""

    def __init__(self):
        self.roll, self.pitch, self.yaw = (np.zeros_like(T) for _ in range(3))
        self.fwd, self.left, self.up = (np.zeros_like(T) for _ in range(3))


def deg(x):
    return np.deg2rad(x)


def sine(rng, freq, amp, phase=None):
    """A sine with slightly wandering frequency; no animal is a signal generator."""
    phase = rng.uniform(0, 2 * np.pi) if phase is None else phase
    drift = rng.normal(0, 0.06) * T * T
    return amp * np.sin(2 * np.pi * freq * (T + drift) + phase)


def step(at, width):
    """0 to 1 around `at`, most of it within `width` seconds."""
    return 1 / (1 + np.exp(-(T - at) * 8 / width))


def bump(at, width):
    """A bell of height 1 and standard deviation `width`."""
    return np.exp(-0.5 * ((T - at) / width) ** 2)


def wander(rng, cutoff, amp):
    """Noise below about `cutoff` Hz with standard deviation `amp`."""
    out = np.zeros_like(T)
    for _ in range(6):
        out += sine(rng, rng.uniform(0.15, 1.0) * cutoff, 1.0)
    return out * amp / np.sqrt(3.0)


def gait(m, rng, stride, strength):
    """Two footfalls a stride: bounce at twice the stride rate, sway and roll at once."""
    phase = rng.uniform(0, 2 * np.pi)
    m.up += sine(rng, 2 * stride, strength, phase)
    m.up += sine(rng, 4 * stride, 0.3 * strength)
    m.fwd += sine(rng, 2 * stride, 0.5 * strength, phase + rng.uniform(0.8, 1.8))
    m.left += sine(rng, stride, 0.45 * strength, phase / 2 + rng.normal(0, 0.3))
    m.roll += sine(rng, stride, deg(1.6) * strength, phase / 2 + rng.uniform(0.5, 1.2))
    m.pitch += sine(rng, 2 * stride, deg(0.9) * strength, phase + rng.uniform(1.2, 2.2))
    m.yaw += sine(rng, stride, deg(1.2) * strength, phase / 2)


def sit(m, rng):
    at, width = rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.6)
    m.pitch += deg(rng.uniform(-6, 12)) + deg(rng.uniform(24, 48)) * step(at, width)
    m.up += rng.uniform(0.8, 2.5) * (bump(at + 0.35 * width, 0.07) - bump(at - 0.2 * width, 0.1))
    m.fwd += -rng.uniform(0.3, 1.5) * bump(at, 0.1)


def stay(m, rng):
    m.pitch += deg(rng.choice([rng.uniform(-5, 8), rng.uniform(28, 48), rng.uniform(-25, -8)]))
    m.up += sine(rng, rng.uniform(0.4, 1.2), rng.uniform(0.02, 0.25))       # breathing
    m.pitch += sine(rng, rng.uniform(0.4, 1.2), deg(rng.uniform(0.1, 0.8)))
    m.yaw += wander(rng, 1.0, deg(rng.uniform(0.2, 3.0)))                   # looks around


def heel(m, rng):
    gait(m, rng, rng.uniform(1.5, 2.1), rng.uniform(1.4, 2.8))
    m.pitch += deg(rng.uniform(12, 34))                      # head up, eyes on the handler
    m.roll += deg(rng.uniform(4, 16)) * rng.choice([-1, 1])
    m.yaw += sine(rng, rng.uniform(0.3, 0.8), deg(3))


def walk(m, rng):
    gait(m, rng, rng.uniform(1.0, 1.7), rng.uniform(0.7, 2.6))
    m.pitch += deg(rng.uniform(-18, 10))
    m.yaw += wander(rng, 0.8, deg(5))


def come(m, rng):
    stride = rng.uniform(2.3, 3.4)                           # a gallop: one bound a stride
    strength = rng.uniform(4.5, 13.0)
    phase = rng.uniform(0, 2 * np.pi)
    m.up += sine(rng, stride, strength, phase) + sine(rng, 2 * stride, 0.35 * strength)
    m.fwd += sine(rng, stride, 0.6 * strength, phase + rng.uniform(1.0, 2.0)) + rng.uniform(0, 2.5)
    m.left += sine(rng, stride, 0.15 * strength)
    m.pitch += deg(rng.uniform(-8, 14)) + sine(rng, stride, deg(rng.uniform(8, 17)), phase + 1.4)
    m.roll += sine(rng, stride, deg(rng.uniform(2, 7)))
    m.yaw += wander(rng, 0.8, deg(4))


def down(m, rng):
    at, width = rng.uniform(0.2, 0.75), rng.uniform(0.35, 0.7)
    m.pitch += deg(rng.choice([rng.uniform(-4, 8), rng.uniform(25, 42)]))   # from stand or sit
    m.pitch += deg(rng.uniform(-46, -22)) * step(at, width)
    m.roll += deg(rng.uniform(0, 12)) * rng.choice([-1, 1]) * step(at + 0.1, width)
    m.up += rng.uniform(1.5, 4.0) * (bump(at + 0.35 * width, 0.07) - bump(at - 0.2 * width, 0.1))
    m.fwd += rng.uniform(0.4, 2.0) * bump(at, 0.12)


def shake(m, rng):
    freq = rng.uniform(4.0, 6.0)
    envelope = step(rng.uniform(-0.2, 0.35), 0.2) * (1 - step(rng.uniform(0.85, 1.4), 0.2))
    phase = rng.uniform(0, 2 * np.pi)
    m.roll += envelope * sine(rng, freq, deg(rng.uniform(18, 42)), phase)
    m.yaw += envelope * sine(rng, freq, deg(rng.uniform(3, 10)), phase + rng.uniform(0.5, 2.0))
    m.left += envelope * sine(rng, freq, rng.uniform(6, 16), phase + rng.normal(0, 0.4))
    m.up += envelope * sine(rng, 2 * freq, rng.uniform(2, 7))
    m.pitch += deg(rng.uniform(-18, 5))


def spin(m, rng):
    side = rng.choice([-1, 1])
    rate = rng.uniform(2.8, 8.0)
    m.yaw += side * (rate * T + 0.12 * np.sin(2 * np.pi * rng.uniform(1.5, 2.5) * T))
    gait(m, rng, rng.uniform(1.8, 2.8), rng.uniform(1.2, 3.5))
    m.roll += side * deg(rng.uniform(-14, -3))               # leans into the turn
    m.left += side * rng.uniform(0.12, 0.3) * rate ** 2 * 0.5
    m.pitch += deg(rng.uniform(-10, 16))


def jump(m, rng):
    off = rng.uniform(0.18, 0.42)
    flight = rng.uniform(0.24, 0.42)
    land = off + 0.09 + flight
    in_air = step(off + 0.08, 0.05) * (1 - step(land, 0.05))
    m.up += -rng.uniform(1, 4) * bump(off - 0.17, 0.05) + rng.uniform(13, 26) * bump(off, 0.045)
    m.up += -GRAVITY * in_air + rng.uniform(18, 42) * bump(land + 0.04, 0.03)
    m.fwd += rng.uniform(2, 9) * bump(off, 0.06) - rng.uniform(3, 10) * bump(land + 0.05, 0.04)
    m.pitch += deg(rng.uniform(14, 32)) * bump(off + 0.08, 0.1)
    m.pitch += -deg(rng.uniform(12, 30)) * bump(land - 0.03, 0.1)
    m.roll += wander(rng, 2.5, deg(3))


def bark(m, rng):
    m.pitch += deg(rng.uniform(-2, 24))
    at = rng.uniform(0.08, 0.35)
    while at < 0.95:
        ring = np.where(T > at, np.exp(-(T - at) / rng.uniform(0.035, 0.06)), 0.0)
        freq = rng.uniform(8, 12)
        m.fwd += rng.uniform(2, 11) * ring * np.sin(2 * np.pi * freq * (T - at))
        m.up += rng.uniform(1, 7) * ring * np.sin(2 * np.pi * freq * (T - at) + rng.uniform(0, 1))
        m.pitch += deg(rng.uniform(2, 11)) * bump(at + 0.05, 0.035)
        at += rng.uniform(0.28, 0.5)
    m.yaw += wander(rng, 1.0, deg(2))


def sniff(m, rng):
    gait(m, rng, rng.uniform(0.6, 1.3), rng.uniform(0.2, 1.2))
    m.pitch += deg(rng.uniform(-60, -22))                    # nose on the ground
    freq = rng.uniform(4.5, 7.0)
    m.pitch += sine(rng, freq, deg(rng.uniform(0.8, 2.4)))
    m.up += sine(rng, freq, rng.uniform(0.3, 1.1))
    m.yaw += wander(rng, 1.4, deg(rng.uniform(6, 16)))


def play(m, rng):
    m.pitch += deg(rng.uniform(-12, 10)) + wander(rng, 3.0, deg(rng.uniform(5, 18)))
    m.roll += wander(rng, 3.0, deg(rng.uniform(8, 18)))
    m.yaw += wander(rng, 2.2, deg(rng.uniform(15, 48)))      # turns, and turns back
    m.fwd += wander(rng, 4.0, rng.uniform(2, 7))
    m.left += wander(rng, 4.0, rng.uniform(2, 7))
    m.up += wander(rng, 4.0, rng.uniform(2, 7))
    for _ in range(rng.integers(1, 4)):                      # paws hit the ground, or a playmate
        at = rng.uniform(0, 1)
        m.up += rng.uniform(5, 14) * bump(at, 0.03)
        m.left += rng.normal(0, 6) * bump(at, 0.04)


RECIPES = [sit, stay, heel, come, down, shake, spin, jump, bark, sniff, walk, play]
assert [r.__name__ for r in RECIPES] == MOTIFS


def rotation(roll, pitch, yaw):
    """Body to world, Rz(yaw) Ry(pitch) Rx(roll), for angles of any equal shape."""
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (np.cos, np.sin))
    return np.stack([
        np.stack([cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr], -1),
        np.stack([sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr], -1),
        np.stack([-sp, cp * sr, cp * cr], -1)], -2)


def window(motif, rng):
    """One window of motif number `motif`: float64 [100, 9] in m/s2, rad/s and uT."""
    m = Motion()
    RECIPES[motif](m, rng)
    # The animal and its collar: never quite level, never quite still.
    m.roll += deg(rng.normal(0, 3)) + wander(rng, 1.5, deg(0.6))
    m.pitch += deg(rng.normal(0, 3)) + wander(rng, 1.5, deg(0.6))
    m.yaw += rng.uniform(-np.pi, np.pi) + deg(rng.normal(0, 8)) * T
    roll, pitch, yaw = m.roll, -m.pitch, m.yaw               # about +y, nose up is negative

    dr, dp, dy = (np.gradient(a, 1 / RATE) for a in (roll, pitch, yaw))
    gyro = np.stack([dr - dy * np.sin(pitch),
                     dp * np.cos(roll) + dy * np.sin(roll) * np.cos(pitch),
                     -dp * np.sin(roll) + dy * np.cos(roll) * np.cos(pitch)], -1)
    level = rotation(roll, pitch, np.zeros_like(yaw))        # the accelerations turn with the dog
    force = np.stack([m.fwd, m.left, m.up + GRAVITY], -1)
    accel = np.einsum("tji,tj->ti", level, force)
    dip, field = deg(rng.normal(63, 4)), rng.normal(48, 2)
    earth = field * np.array([np.cos(dip), 0.0, -np.sin(dip)])
    mag = np.einsum("tji,j->ti", rotation(roll, pitch, yaw), earth)

    # How the collar sits, then what the sensor makes of it.
    fit = rotation(*(deg(rng.normal(0, s)) for s in (8, 5, 6)))
    accel, gyro, mag = accel @ fit, gyro @ fit, mag @ fit
    accel = accel * rng.normal(1, 0.01, 3) + rng.normal(0, 0.08, 3)
    gyro = gyro * rng.normal(1, 0.01, 3) + rng.normal(0, 0.01, 3)
    mag = mag + rng.normal(0, 4, 3)                          # hard iron
    accel += rng.normal(0, 0.06, accel.shape)
    gyro += rng.normal(0, 0.012, gyro.shape)
    mag += rng.normal(0, 0.5, mag.shape)
    accel = np.clip(accel, -ACCEL_MAX, ACCEL_MAX)
    gyro = np.clip(gyro, -GYRO_MAX, GYRO_MAX)
    return np.concatenate([accel, gyro, mag], -1)[PAD:PAD + STEPS]


def windows(per_motif, seed):
    """float32 [12 * per_motif, 100, 9] and the motif number of each, motif by motif."""
    rng = np.random.default_rng(seed)
    x = np.stack([window(k, rng) for k in range(len(MOTIFS)) for _ in range(per_motif)])
    return x.astype(np.float32), np.repeat(np.arange(len(MOTIFS)), per_motif)
