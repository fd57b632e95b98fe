"""Tables shaped like the public ones that everyone has: wine quality, Titanic and house prices, made by draws."""

from __future__ import annotations

import numpy as np


def wines(rows: int = 240) -> list[str]:
    """Semicolons, names in quotes, grades 3 to 8 as whole numbers, and copies of rows."""
    rng = np.random.default_rng(1)
    lines = ['"fixed acidity";"volatile acidity";"pH";"alcohol";"quality"']
    for i in range(rows):
        alcohol = rng.normal(10.4, 1.1)
        grade = i % 6 + 3 if i < 12 else int(np.clip(np.rint(5.6 + 0.6 * (alcohol - 10.4) + rng.normal(0, 0.6)), 3, 8))
        fields = (rng.normal(8.3, 1.7), rng.normal(0.53, 0.18), rng.normal(3.3, 0.15), alcohol)
        lines.append(";".join([*(f"{field:.2f}" for field in fields), str(grade)]))
        if i % 9 == 0:
            lines.append(lines[-1])
    return lines


def passengers(rows: int = 200) -> list[str]:
    """A counted column, quoted names with commas, words, tickets half of numbers, and gaps."""
    rng = np.random.default_rng(2)
    lines = ["PassengerId,Survived,Pclass,Name,Sex,Age,SibSp,Ticket,Fare,Cabin,Embarked"]
    for i in range(rows):
        sex = "female" if rng.random() < 0.35 else "male"
        survived = int(rng.random() < (0.8 if sex == "female" else 0.2))
        age = "" if rng.random() < 0.2 else f"{rng.uniform(1, 70):.0f}"
        ticket = f"A/5 {rng.integers(2000, 9999)}" if rng.random() < 0.3 else f"{rng.integers(100000, 400000)}"
        cabin = f"C{rng.integers(1, 40)}" if rng.random() < 0.2 else ""
        port = "" if i in (61, 132) else rng.choice(["S", "C", "Q"], p=[0.72, 0.2, 0.08])
        name = f'"Doe {i}, Mr. ""Jo"" No {i}"'
        fare = f"{rng.lognormal(3, 1):.4f}"
        lines.append(
            f"{i + 1},{survived},{rng.integers(1, 4)},{name},{sex},{age},{i % 3},{ticket},{fare},{cabin},{port}"
        )
    return lines


def houses(rows: int = 200) -> list[str]:
    """Prices as whole numbers behind columns of numbers and words, NA where there is no alley."""
    rng = np.random.default_rng(3)
    lines = ["Id,MSZoning,LotFrontage,Alley,Neighborhood,YearBuilt,GrLivArea,SalePrice"]
    for i in range(rows):
        zone, area = rng.choice(["RL", "RM", "FV"], p=[0.7, 0.2, 0.1]), int(rng.normal(1500, 400))
        front = "NA" if rng.random() < 0.18 else f"{rng.normal(70, 20):.0f}"
        alley = rng.choice(["Grvl", "Pave", "NA"], p=[0.05, 0.05, 0.9])
        place, year = rng.choice(["NAmes", "OldTown", "Gilbert", "Blueste"], p=[0.5, 0.3, 0.19, 0.01]), 1900 + i % 110
        price = int(20_000 + 100 * area + 500 * (year - 1900) + rng.normal(0, 10_000))
        lines.append(f"{i + 1},{zone},{front},{alley},{place},{year},{area},{price}")
    return lines
